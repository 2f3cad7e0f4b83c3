/**
 * What a broker reports to the others about an open connection.
 *
 * @module
 */
import type { Claimant, OpenConnection } from '../../contracts/session-claims.ts';

/** The facts about a connection of this broker whose CONNECT was accepted. */
export function openConnectionOf(connection: Claimant): OpenConnection {
  const { identity, clientId = '', protocolVersion } = connection;
  const { remoteAddress: address, tlsVersion, serial, notAfterMs, standing } = identity;
  return {
    broker: undefined,
    ...{ clientId, protocolVersion, address, tlsVersion, serial, notAfterMs, standing },
  };
}
