/**
 * The places for handshakes, as a front asks the core for them.
 *
 * @module
 */
import { isErrorCode, type ErrorCode } from '../../core/errors/catalogue.ts';
import type {
  HandshakeCandidate,
  HandshakePlaces,
  HandshakeTicket,
} from '../listeners/handshake-quota.ts';
import { fromFront } from './front-frames.ts';
import type { FrontOutbox } from './front-outbox.ts';

export class FrontHandshakes implements HandshakePlaces {
  readonly #outbox: FrontOutbox;
  readonly #candidates = new Map<number, HandshakeCandidate>();
  #lastId = 0;

  constructor(outbox: FrontOutbox) {
    this.#outbox = outbox;
  }

  offer(remoteAddress: string, candidate: HandshakeCandidate): HandshakeTicket {
    this.#lastId = (this.#lastId + 1) | 0;
    const id = this.#lastId;
    this.#candidates.set(id, candidate);
    this.#outbox.send(fromFront.offer, id, remoteAddress);
    return {
      ready: () => this.#outbox.send(fromFront.ready, id),
      release: () => {
        if (this.#candidates.delete(id)) this.#outbox.send(fromFront.release, id);
      },
    };
  }

  begin(id: number): void {
    this.#candidates.get(id)?.begin();
  }

  /** @param code empty when the broker stops */
  refuse(id: number, code: string): void {
    const candidate = this.#candidates.get(id);
    this.#candidates.delete(id);
    candidate?.refuse(codeOf(code));
  }
}

function codeOf(text: string): ErrorCode | undefined {
  return isErrorCode(text) ? text : undefined;
}
