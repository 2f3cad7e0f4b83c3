/**
 * DISCONNECT as a client sends it.
 *
 * @module
 */
import { malformed } from './fault.ts';
import { readProperties } from './properties.ts';
import { PacketReader } from './reader.ts';

export interface Disconnect {
  readonly reasonCode: number;
  /** In seconds; -1: unchanged. */
  readonly sessionExpiry: number;
}

/** The reason codes that a client may send: table 3-13 without those of the server. */
const codes = new Set([
  0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
]);

/** @throws ProtocolFault */
export function readDisconnect(
  bytes: Buffer,
  body: number,
  end: number,
  isMqtt5: boolean,
): Disconnect {
  const reader = new PacketReader(bytes, body, end);
  let reasonCode = 0;
  let sessionExpiry = -1;
  if (isMqtt5 && reader.left > 0) {
    reasonCode = reader.byte();
    if (!codes.has(reasonCode)) throw malformed(`DISCONNECT with reason ${reasonCode}`);
    if (reader.left > 0) ({ sessionExpiry } = readProperties(reader, 'disconnect'));
  }
  reader.finish();
  return { reasonCode, sessionExpiry };
}
