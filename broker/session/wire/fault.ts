/**
 * Protocol violations of a client that are found while its packets are read. The connection's reader
 * catches them and closes the connection with the reason code of the catalogue entry.
 *
 * @module
 */
import type { ErrorCode } from '../../../core/errors/catalogue.ts';

/** A protocol violation: the code of the catalogue, and the violated rule as text. */
export class ProtocolFault extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, detail: string) {
    super(detail);
    this.name = 'ProtocolFault';
    this.code = code;
  }
}

/** A packet that cannot be decoded: Malformed Packet, 0x81. */
export function malformed(detail: string): ProtocolFault {
  return new ProtocolFault('packet-malformed', detail);
}

/** A packet that can be decoded and is not allowed: Protocol Error, 0x82. */
export function protocolError(detail: string): ProtocolFault {
  return new ProtocolFault('protocol-error', detail);
}
