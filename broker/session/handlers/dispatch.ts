/**
 * Calls the handler of a packet by its first byte.
 *
 * @module
 */
import type { ClientConnection } from '../connection/connection.ts';
import { onPuback, onPubcomp, onPubrec, onPubrel } from './acknowledgement.ts';
import { onConnect, onSecondConnect } from './connect.ts';
import { onDisconnect } from './disconnect.ts';
import { onPublish } from './publish.ts';
import { onSubscribe } from './subscribe.ts';
import { onUnsubscribe } from './unsubscribe.ts';
import { emitPing } from './plugin-hooks.ts';
import { pingresp } from '../wire/answers.ts';
import { malformed, protocolError } from '../wire/fault.ts';

/** Handles one whole packet. @throws ProtocolFault */
export function dispatch(
  client: ClientConnection,
  bytes: Buffer,
  start: number,
  body: number,
  end: number,
): void {
  const header = bytes[start] ?? 0;
  const { session } = client;
  if (session === undefined) {
    // [MQTT-3.1.0-1]: the first packet must be CONNECT.
    if (header !== 0x10) throw protocolError('[MQTT-3.1.0-1] the first packet is not CONNECT');
    onConnect(client, bytes, body, end);
    return;
  }
  if (header >> 4 === 3) {
    onPublish(client, session, bytes, start, body, end);
    return;
  }
  // [MQTT-2.1.3-1] (3.1.1: [MQTT-2.2.2-2]): the reserved flags have fixed values.
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
    case 0x82: // [MQTT-3.8.1-1]
      onSubscribe(client, session, bytes, body, end);
      return;
    case 0xa2: // [MQTT-3.10.1-1]
      onUnsubscribe(client, session, bytes, body, end);
      return;
    case 0xc0:
      if (end !== body) throw malformed('PINGREQ with a body');
      client.send(pingresp); // [MQTT-3.12.4-1]
      if (client.context.hooks.hasListeners.ping) emitPing(client);
      return;
    case 0xe0:
      onDisconnect(client, session, bytes, body, end);
      return;
    case 0x10:
      onSecondConnect();
      return;
    case 0xf0:
      // AUTH is not allowed, because CONNECT never negotiates a method. Before 5.0 it does not exist.
      if (!client.isMqtt5) throw malformed('packet type 15');
      throw protocolError('[MQTT-4.12.0-6] AUTH without an authentication method');
    default:
      throw malformed(`unknown packet type or flags 0x${header.toString(16)}`);
  }
}
