/**
 * Calls the handler of a packet from another partition by its first byte. There is no CONNECT, and subscriptions are
 * announced on the other stream of the link.
 *
 * @module
 */
import type { ClientConnection, Dispatch } from '../connection/connection.ts';
import { onPuback, onPubcomp, onPubrec, onPubrel } from '../handlers/acknowledgement.ts';
import { protocolError } from '../wire/fault.ts';
import { PeerSession } from './peer-session.ts';
import { onPeerPublish } from './peer-publish.ts';
import type { RetainedDistribution } from './retained-distribution.ts';

/** The packet handlers of the connections to other partitions. */
export function peerDispatch(distribution: RetainedDistribution): Dispatch {
  return (...packet) => dispatchPacket(distribution, ...packet);
}

/** Handles one whole packet. @throws ProtocolFault */
function dispatchPacket(
  distribution: RetainedDistribution,
  client: ClientConnection,
  bytes: Buffer,
  start: number,
  body: number,
  end: number,
): void {
  const header = bytes[start] ?? 0;
  const { session } = client;
  if (!(session instanceof PeerSession)) throw protocolError('a packet without a session');
  if (header >> 4 === 3) {
    onPeerPublish(distribution, client, session, bytes, start, body, end);
    return;
  }
  switch (header) {
    case 0x40:
      onPuback(client, session, bytes, body, end);
      return;
    case 0x50:
      onPubrec(client, session, bytes, body, end);
      return;
    case 0x62:
      onPubrel(client, session, bytes, body, end);
      return;
    case 0x70:
      onPubcomp(client, session, bytes, body, end);
      return;
    case 0xe0:
      client.endByClient('connection-lost');
      return;
    default:
      throw protocolError(`a packet 0x${header.toString(16)} from another partition`);
  }
}
