/**
 * PUBACK, PUBREC, PUBREL, PUBCOMP from a client.
 *
 * @module
 */
import type { ClientConnection } from '../connection/connection.ts';
import type { AckResult } from '../delivery/in-flight.ts';
import { emitAck } from './plugin-hooks.ts';
import { released } from '../state/unreleased.ts';
import type { Session } from '../state/session.ts';
import {
  packetFirstByte,
  readAcknowledgement,
  acknowledgementWithReason,
  acknowledgementTemplate,
} from '../wire/acknowledgement.ts';
import { protocolError } from '../wire/fault.ts';

const packetIdNotFound = 0x92;

/** PUBACK: the hot path, so its short form is decoded in place. */
export function onPuback(
  client: ClientConnection,
  session: Session,
  bytes: Buffer,
  body: number,
  end: number,
): void {
  const packetId =
    end - body === 2
      ? ((bytes[body] ?? 0) << 8) | (bytes[body + 1] ?? 0)
      : readAcknowledgement(bytes, body, end, client.isMqtt5, true).packetId;
  if (packetId === 0) throw protocolError('[MQTT-2.2.1-3] packet identifier 0');
  const result = session.outbound.onPuback(packetId);
  assertKind(result, 'PUBACK');
  if (result === 'done' && client.context.hooks.hasListeners.ack) emitAck(client, packetId, 1);
}

/** PUBREC: answered by PUBREL, even if the packet id is unknown [MQTT-4.3.3-4]. */
export function onPubrec(
  client: ClientConnection,
  session: Session,
  bytes: Buffer,
  body: number,
  end: number,
): void {
  const { packetId, reasonCode } = readAcknowledgement(bytes, body, end, client.isMqtt5, true);
  const result = session.outbound.onPubrec(packetId, reasonCode >= 0x80);
  assertKind(result, 'PUBREC');
  if (result !== 'unknown' || reasonCode >= 0x80) return;
  if (client.isMqtt5)
    client.send(acknowledgementWithReason(packetFirstByte.pubrel, packetId, packetIdNotFound));
  else client.send(encodeAcknowledgement(packetFirstByte.pubrel, packetId));
}

/** PUBREL: the packet id is free again; answered by PUBCOMP [MQTT-4.3.3-11]. */
export function onPubrel(
  client: ClientConnection,
  session: Session,
  bytes: Buffer,
  body: number,
  end: number,
): void {
  const { packetId } = readAcknowledgement(bytes, body, end, client.isMqtt5, false);
  const known = released(client.context, session, packetId);
  client.unreleased?.delete(packetId);
  if (known && session.kept) {
    client.context.store.deleteIncoming(session.clientId, packetId);
  }
  client.acknowledge(
    packetFirstByte.pubcomp,
    packetId,
    known ? 0 : packetIdNotFound,
    known && session.kept,
  );
}

export function onPubcomp(
  client: ClientConnection,
  session: Session,
  bytes: Buffer,
  body: number,
  end: number,
): void {
  const { packetId } = readAcknowledgement(bytes, body, end, client.isMqtt5, false);
  const result = session.outbound.onPubcomp(packetId);
  assertKind(result, 'PUBCOMP');
  if (result === 'done' && client.context.hooks.hasListeners.ack) emitAck(client, packetId, 2);
}

function assertKind(result: AckResult, packet: string): void {
  if (result === 'wrong-kind') throw protocolError(`${packet} for a delivery with another QoS`);
}

function encodeAcknowledgement(type: number, packetId: number): Buffer {
  const bytes = Buffer.from(acknowledgementTemplate);
  bytes[0] = type;
  bytes.writeUInt16BE(packetId, 2);
  return bytes;
}
