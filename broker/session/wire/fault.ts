/**
 * What a client did wrong, found while reading its bytes. Caught where the connection reads; ends
 * the connection with the reason code of its catalogue entry.
 *
 * @module
 */
import type { ErrorCode } from '../../../core/errors/catalogue.ts';

/** A broken rule of the protocol: the code of the catalogue, and the rule for people. */
export class ProtocolFault extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, detail: string) {
    super(detail);
    this.name = 'ProtocolFault';
    this.code = code;
  }
}

/** A packet that cannot be parsed: Malformed Packet, 0x81. */
export function malformed(detail: string): ProtocolFault {
  return new ProtocolFault('packet-malformed', detail);
}

/** A packet that can be parsed and is not allowed: Protocol Error, 0x82. */
export function protocolError(detail: string): ProtocolFault {
  return new ProtocolFault('protocol-error', detail);
}
