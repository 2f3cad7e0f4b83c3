/**
 * The packets that two nodes send each other. Each has a header with the incarnations of both sides, so that
 * nothing that belongs to a former run of a process is taken for a part of the current one.
 *
 * | bytes | content |
 * |---|---|
 * | 0 | version of the format |
 * | 1 | kind |
 * | 2 to 7 | incarnation of the sender |
 * | 8 to 13 | incarnation of the receiver, as far as the sender knows it; 0: not known |
 * | 14 to 19 | `number`, see {@link PeerPacketKind} |
 * | 20 to 25 | `confirmed`, see {@link PeerPacketKind} |
 * | 26 to 29 | batch: the length of the numbered part |
 * | 30 to the end | batch: the numbered part, then the part that is never sent again |
 *
 * @module
 */

/**
 * - `batch`: messages. `number`: its number; 0 if it has no numbered part. `confirmed`: all batches up to this
 *   number were acknowledged.
 * - `ack`: `confirmed`: all batches up to this number are durable.
 * - `probe`: asks for a report. `number`: the last batch that was sent. `confirmed`: as in a batch.
 * - `report`: `number`: the last batch that was applied without a gap. `confirmed`: as in an ack. The
 *   batches after `number` must be sent again.
 */
export type PeerPacketKind = 'batch' | 'ack' | 'probe' | 'report';

export interface PeerPacket {
  readonly kind: PeerPacketKind;
  readonly from: number;
  readonly to: number;
  readonly number: number;
  readonly confirmed: number;
  /** Of a batch: the messages that are sent again until they are acknowledged. */
  readonly numbered: Buffer;
  /** Of a batch: the messages that may be lost. */
  readonly unnumbered: Buffer;
}

export const peerHeaderBytes = 30;
/** Incarnations and numbers are below this. A node that sends a million batches a second reaches it in nine years. */
export const peerNumberMax = 2 ** 48 - 1;

const formatVersion = 1;
const kinds: readonly PeerPacketKind[] = ['batch', 'ack', 'probe', 'report'];
const noBytes = Buffer.alloc(0);

/** The fields of a header. */
export type PeerHeader = Pick<PeerPacket, 'kind' | 'from' | 'to' | 'number' | 'confirmed'>;

/** Writes a header into the first {@link peerHeaderBytes} bytes. @param numberedBytes of a batch */
export function writePeerHeader(target: Buffer, header: PeerHeader, numberedBytes = 0): void {
  target[0] = formatVersion;
  target[1] = kinds.indexOf(header.kind);
  target.writeUIntBE(header.from, 2, 6);
  target.writeUIntBE(header.to, 8, 6);
  target.writeUIntBE(header.number, 14, 6);
  target.writeUIntBE(header.confirmed, 20, 6);
  target.writeUInt32BE(numberedBytes, 26);
}

/** A packet without messages. */
export function encodePeerHeader(header: PeerHeader): Buffer {
  const bytes = Buffer.allocUnsafe(peerHeaderBytes);
  writePeerHeader(bytes, header);
  return bytes;
}

/** @returns undefined for bytes that are not a packet of this version */
export function decodePeerPacket(bytes: Buffer): PeerPacket | undefined {
  if (bytes.length < peerHeaderBytes || bytes[0] !== formatVersion) return undefined;
  const kind = kinds[bytes[1] ?? kinds.length];
  const numberedEnd = peerHeaderBytes + bytes.readUInt32BE(26);
  if (kind === undefined || numberedEnd > bytes.length) return undefined;
  if (kind !== 'batch' && bytes.length !== peerHeaderBytes) return undefined;
  const packet: PeerPacket = {
    kind,
    from: bytes.readUIntBE(2, 6),
    to: bytes.readUIntBE(8, 6),
    number: bytes.readUIntBE(14, 6),
    confirmed: bytes.readUIntBE(20, 6),
    numbered:
      numberedEnd === peerHeaderBytes ? noBytes : bytes.subarray(peerHeaderBytes, numberedEnd),
    unnumbered: numberedEnd === bytes.length ? noBytes : bytes.subarray(numberedEnd),
  };
  if (packet.from === 0) return undefined;
  if (kind === 'batch' && (packet.number === 0) !== (packet.numbered.length === 0))
    return undefined;
  // Nobody has confirmed what was not sent or applied.
  if (kind === 'batch' && packet.number > 0 && packet.confirmed >= packet.number) return undefined;
  if ((kind === 'probe' || kind === 'report') && packet.confirmed > packet.number) return undefined;
  return packet;
}
