/**
 * DISCONNECT from a client: its will is deleted [MQTT-3.14.4-3], unless the reason code is 0x04.
 *
 * @module
 */
import type { ClientConnection } from '../connection/connection.ts';
import { neverExpires, type Session } from '../state/session.ts';
import { readDisconnect } from '../wire/disconnect.ts';
import { protocolError } from '../wire/fault.ts';

export function onDisconnect(
  client: ClientConnection,
  session: Session,
  bytes: Buffer,
  body: number,
  end: number,
): void {
  const { reasonCode, sessionExpiry } = readDisconnect(bytes, body, end, client.isMqtt5);
  if (sessionExpiry >= 0) {
    // Section 3.14.2.2.2: a session that ends with its connection cannot be kept after all.
    if (client.requestedExpirySeconds === 0 && sessionExpiry > 0) {
      throw protocolError('DISCONNECT raises the session expiry from 0');
    }
    const { limits, authorizer } = client.context;
    const max = Math.min(
      limits.sessionExpiryMaxSeconds,
      authorizer.limits(client.identity).sessionExpiryMaxSeconds,
    );
    session.expirySeconds = Math.min(sessionExpiry, max, neverExpires);
  }
  client.endByClient(reasonCode === 0 ? undefined : 'disconnected-with-will');
}
