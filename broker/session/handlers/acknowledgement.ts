/**
 * PUBACK, PUBREC, PUBREL, PUBCOMP from a client.
 *
 * @module
 */
import type { Client } from '../connection/connection.ts';
import type { AckResult } from '../delivery/outbound-queue.ts';
import { tellAck } from './plugin-hooks.ts';
import type { Session } from '../state/session.ts';
import {
  first,
  readAcknowledgement,
  reasonedAcknowledgement,
  plainAcknowledgement,
} from '../wire/acknowledgement.ts';
import { protocolError } from '../wire/fault.ts';

const packetIdNotFound = 0x92;

/** PUBACK: hot, so its short form is read in place. */
export function onPuback(
  client: Client,
  session: Session,
  bytes: Buffer,
  body: number,
  end: number,
): void {
  const packetId =
    end - body === 2
      ? ((bytes[body] ?? 0) << 8) | (bytes[body + 1] ?? 0)
      : readAcknowledgement(bytes, body, end, client.five, true).packetId;
  if (packetId === 0) throw protocolError('[MQTT-2.2.1-3] packet identifier 0');
  const result = session.outgoing.onPuback(packetId);
  mustFit(result, 'PUBACK');
  if (result === 'done' && client.host.services.hooks.heard.ack) tellAck(client, packetId, 1);
}

/** PUBREC: answered by PUBREL, also when nothing is known of it [MQTT-4.3.3-4]. */
export function onPubrec(
  client: Client,
  session: Session,
  bytes: Buffer,
  body: number,
  end: number,
): void {
  const { packetId, reasonCode } = readAcknowledgement(bytes, body, end, client.five, true);
  const result = session.outgoing.onPubrec(packetId, reasonCode >= 0x80);
  mustFit(result, 'PUBREC');
  if (result !== 'unknown' || reasonCode >= 0x80) return;
  if (client.five) client.send(reasonedAcknowledgement(first.pubrel, packetId, packetIdNotFound));
  else client.send(numbered(first.pubrel, packetId));
}

/** PUBREL: the packet id is free, PUBCOMP says so [MQTT-4.3.3-11]. */
export function onPubrel(
  client: Client,
  session: Session,
  bytes: Buffer,
  body: number,
  end: number,
): void {
  const { packetId } = readAcknowledgement(bytes, body, end, client.five, false);
  const known = session.incoming?.delete(packetId) === true;
  if (known && session.kept) {
    client.host.services.store.deleteIncoming(session.clientId, packetId);
  }
  client.acknowledge(first.pubcomp, packetId, known ? 0 : packetIdNotFound, known && session.kept);
}

export function onPubcomp(
  client: Client,
  session: Session,
  bytes: Buffer,
  body: number,
  end: number,
): void {
  const { packetId } = readAcknowledgement(bytes, body, end, client.five, false);
  const result = session.outgoing.onPubcomp(packetId);
  mustFit(result, 'PUBCOMP');
  if (result === 'done' && client.host.services.hooks.heard.ack) tellAck(client, packetId, 2);
}

function mustFit(result: AckResult, packet: string): void {
  if (result === 'wrong-kind') throw protocolError(`${packet} for a delivery of another kind`);
}

function numbered(type: number, packetId: number): Buffer {
  const bytes = Buffer.from(plainAcknowledgement);
  bytes[0] = type;
  bytes.writeUInt16BE(packetId, 2);
  return bytes;
}
