/**
 * The claims of one broker that have no answer yet.
 *
 * @module
 */
import type { ClaimAnswer, ClaimRequest } from '../contracts/session-claims.ts';
import type { GrantFacts } from './claim-transactions.ts';

/** How long a claim waits for the owner, in ms. */
const claimMaxMs = 10_000;

export interface OpenClaimRequest {
  readonly request: ClaimRequest;
  readonly answer: (answer: ClaimAnswer) => void;
  /** When it gives up, in monotonic ms. */
  readonly untilMs: number;
  facts?: GrantFacts;
}

/** The user limits how many there are by {@link OpenClaims.size}. */
export class OpenClaims {
  /** By number, the oldest one first. */
  readonly #requests = new Map<number, OpenClaimRequest>();
  #last = 0;

  get size(): number {
    return this.#requests.size;
  }

  /** @returns the number of the request */
  add(request: ClaimRequest, nowMs: number, answer: (answer: ClaimAnswer) => void): number {
    const number = ++this.#last;
    this.#requests.set(number, { request, answer, untilMs: nowMs + claimMaxMs });
    return number;
  }

  get(number: number): OpenClaimRequest | undefined {
    return this.#requests.get(number);
  }

  /** Has no effect if the request has an answer. */
  answer(number: number, answer: ClaimAnswer): void {
    this.#requests.get(number)?.answer(answer);
    this.#requests.delete(number);
  }

  clientIds(): readonly string[] {
    return Array.from(this.#requests.values(), ({ request }) => request.clientId);
  }

  /** The requests whose time is over. */
  expired(nowMs: number): readonly { readonly number: number; readonly clientId: string }[] {
    const found = [];
    for (const [number, { request, untilMs }] of this.#requests) {
      if (untilMs > nowMs) break;
      found.push({ number, clientId: request.clientId });
    }
    return found;
  }

  /** Refuses all of them with `session-unavailable`. */
  refuseAll(): void {
    for (const number of [...this.#requests.keys()]) {
      this.answer(number, { refused: 'session-unavailable' });
    }
  }
}
