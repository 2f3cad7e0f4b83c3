/**
 * Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): a call that is repeated with the same key, for
 * example because its response was lost, gets the first response again and changes nothing.
 *
 * In memory, for a limited time and size: after a restart of the service a repeated call runs again.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';

const keptMs = 15 * 60_000;
const entriesMax = 2000;
const keptMaxChars = 32 * 1024 * 1024;
/** Of one caller: a tenth. */
const share = { entries: entriesMax / 10, chars: keptMaxChars / 10 } as const;

/** A response as it can be sent again. */
export interface KeptResponse {
  readonly status: number;
  readonly body: string;
}

interface Entry {
  readonly caller: string;
  /** Over method, path and body: the same key for another call is a mistake. */
  readonly fingerprint: string;
  readonly response: Promise<KeptResponse>;
  readonly endsAtMs: number;
  chars: number;
}

export class IdempotentCalls {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  readonly #byCaller = new Map<string, { entries: number; chars: number }>();
  #chars = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Runs a call once for each caller and key. A call that failed runs again.
   *
   * @throws FlotillaError `idempotency-key-reused` for another call with the same key
   */
  once(
    caller: string,
    key: string,
    call: { readonly method: string; readonly path: string; readonly body: unknown },
    run: () => Promise<KeptResponse>,
  ): Promise<KeptResponse> {
    if (!/^[\x21-\x7e]{1,128}$/.test(key)) {
      throw new FlotillaError('request-invalid', { detail: 'Idempotency-Key' });
    }
    this.#dropOld();
    this.#dropOldOf(caller);
    const name = `${caller}\n${key}`;
    const fingerprint = createHash('sha256')
      .update(JSON.stringify([call.method, call.path, call.body]))
      .digest('hex');
    const known = this.#entries.get(name);
    if (known !== undefined) {
      if (known.fingerprint !== fingerprint) throw new FlotillaError('idempotency-key-reused');
      return known.response;
    }
    const response = run();
    const endsAtMs = this.#clock.monotonicMs() + keptMs;
    const entry: Entry = { caller, fingerprint, response, endsAtMs, chars: 0 };
    this.#entries.set(name, entry);
    this.#count(caller, 1, 0);
    response.then(
      ({ body }) => {
        if (this.#entries.get(name) !== entry) return;
        entry.chars = body.length;
        this.#chars += body.length;
        this.#count(caller, 0, body.length);
      },
      () => this.#drop(name, entry),
    );
    return response;
  }

  #drop(name: string, entry: Entry): void {
    if (this.#entries.get(name) !== entry) return;
    this.#entries.delete(name);
    this.#chars -= entry.chars;
    this.#count(entry.caller, -1, -entry.chars);
  }

  #count(caller: string, entries: number, chars: number): void {
    const before = this.#byCaller.get(caller) ?? { entries: 0, chars: 0 };
    const now = { entries: before.entries + entries, chars: before.chars + chars };
    if (now.entries === 0) this.#byCaller.delete(caller);
    else this.#byCaller.set(caller, now);
  }

  /** A caller with many calls loses its own oldest responses, not those of others. */
  #dropOldOf(caller: string): void {
    const isOver = (): boolean => {
      const { entries, chars } = this.#byCaller.get(caller) ?? { entries: 0, chars: 0 };
      return entries >= share.entries || chars > share.chars;
    };
    if (!isOver()) return;
    for (const [name, entry] of this.#entries) {
      if (entry.caller !== caller) continue;
      this.#drop(name, entry);
      if (!isOver()) return;
    }
  }

  #dropOld(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [name, entry] of this.#entries) {
      const isOver = this.#entries.size >= entriesMax || this.#chars > keptMaxChars;
      if (entry.endsAtMs > nowMs && !isOver) break;
      this.#drop(name, entry);
    }
  }
}
