/**
 * Asks brokers over the feed and waits for their answers. Each question has a number, a deadline, and one
 * broker that may answer it.
 *
 * @module
 */
import type { Cancel, Clock } from '../../core/clock.ts';
import type { DeviceId } from '../../core/device-id.ts';
import { isErrorCode } from '../../core/errors/catalogue.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import {
  brokerAnswerSchemas,
  type BrokerAnswerOf,
  type BrokerQuery,
  type QueryReply,
} from '../../core/protocol/broker-query.ts';
import type { Feed } from './directory-feed.ts';

/** Questions that wait for an answer, of one broker and in all. */
const pendingPerBrokerMax = 64;
const pendingMax = 1000;

interface Pending {
  readonly broker: DeviceId;
  readonly kind: BrokerQuery['kind'];
  readonly part: (result: unknown) => void;
  readonly done: (error: FlotillaError | undefined) => void;
  cancel: Cancel;
}

export interface AskOptions {
  /** How long the answer, or for a stream the next part of it, is waited for, in ms. */
  readonly timeoutMs: number;
}

export class BrokerQueries {
  readonly #feed: Feed;
  readonly #clock: Clock;
  readonly #pending = new Map<number, Pending>();
  #id = 0;

  constructor(feed: Feed, clock: Clock) {
    this.#feed = feed;
    this.#clock = clock;
    feed.watchLinks(() => this.#dropLost());
  }

  /**
   * Asks one broker.
   *
   * @throws FlotillaError `broker-not-connected`, `broker-no-answer`, `too-many-requests`, or the broker's own
   */
  ask<Q extends BrokerQuery>(
    broker: DeviceId,
    query: Q,
    { timeoutMs }: AskOptions,
  ): Promise<BrokerAnswerOf<Q['kind']>> {
    return new Promise((resolve, reject) => {
      let answer: BrokerAnswerOf<Q['kind']> | undefined;
      this.#start(broker, query, timeoutMs, {
        // The seam to the schemas: `take` has parsed the result by the kind of the question.
        part: (result) => (answer = result as BrokerAnswerOf<Q['kind']>),
        done(error) {
          if (error !== undefined) reject(error);
          else if (answer === undefined) reject(new FlotillaError('broker-no-answer'));
          else resolve(answer);
        },
      });
    });
  }

  /**
   * Asks one broker and takes its answer in parts.
   *
   * @param done called once, with the reason when the broker did not finish
   * @returns ends it
   * @throws FlotillaError as {@link ask}, when the question cannot be sent
   */
  follow<Q extends BrokerQuery>(
    broker: DeviceId,
    query: Q,
    options: AskOptions & {
      readonly part: (answer: BrokerAnswerOf<Q['kind']>) => void;
      readonly done: (error: FlotillaError | undefined) => void;
    },
  ): () => void {
    const id = this.#start(broker, query, options.timeoutMs, {
      // The seam to the schemas, as in `ask`.
      part: (result) => options.part(result as BrokerAnswerOf<Q['kind']>),
      done: options.done,
    });
    return () => {
      const pending = this.#pending.get(id);
      if (pending === undefined) return;
      pending.cancel();
      this.#pending.delete(id);
      this.#feed.sendTo(broker, { type: 'query-end', id });
    };
  }

  /**
   * Takes a part of an answer. One that nobody waits for is ignored: its deadline has passed.
   *
   * @returns whether the question is still open
   * @throws FlotillaError `request-invalid` from a broker that was not asked, or of a wrong shape
   */
  take(broker: DeviceId, { id, done, result, error }: QueryReply): boolean {
    const pending = this.#pending.get(id);
    if (pending === undefined) return false;
    if (pending.broker !== broker) {
      throw new FlotillaError('request-invalid', { detail: `question ${id} is not for ${broker}` });
    }
    if (error !== undefined) {
      this.#finish(id, pending, errorOf(error));
      return false;
    }
    if (result !== undefined) {
      const parsed = brokerAnswerSchemas[pending.kind].safeParse(result);
      if (!parsed.success) {
        const fault = new FlotillaError('request-invalid', { detail: 'result' });
        this.#finish(id, pending, fault);
        throw fault;
      }
      pending.part(parsed.data);
    }
    if (done) this.#finish(id, pending, undefined);
    return !done;
  }

  /** Ends every question that waits. */
  close(): void {
    for (const [id, pending] of [...this.#pending]) {
      this.#finish(id, pending, new FlotillaError('broker-not-connected'));
    }
  }

  #start(
    broker: DeviceId,
    query: BrokerQuery,
    timeoutMs: number,
    { part, done }: Pick<Pending, 'part' | 'done'>,
  ): number {
    let own = 0;
    for (const pending of this.#pending.values()) if (pending.broker === broker) own++;
    if (own >= pendingPerBrokerMax || this.#pending.size >= pendingMax) {
      throw new FlotillaError('too-many-requests', {
        retryAfterSeconds: 1,
        detail: `${own} questions wait for ${broker}`,
      });
    }
    const id = ++this.#id;
    if (!this.#feed.sendTo(broker, { type: 'query', id, query })) {
      throw new FlotillaError('broker-not-connected', { detail: broker });
    }
    const pending: Pending = {
      broker,
      kind: query.kind,
      part,
      done,
      cancel: this.#clock.after(timeoutMs, () => {
        this.#feed.sendTo(broker, { type: 'query-end', id });
        this.#finish(id, pending, new FlotillaError('broker-no-answer', { detail: broker }));
      }),
    };
    this.#pending.set(id, pending);
    return id;
  }

  #finish(id: number, pending: Pending, error: FlotillaError | undefined): void {
    pending.cancel();
    if (this.#pending.delete(id)) pending.done(error);
  }

  /** A broker that is gone does not answer any more. */
  #dropLost(): void {
    const connected = new Set(this.#feed.brokers);
    for (const [id, pending] of [...this.#pending]) {
      if (connected.has(pending.broker)) continue;
      this.#finish(
        id,
        pending,
        new FlotillaError('broker-not-connected', { detail: pending.broker }),
      );
    }
  }
}

function errorOf({ code, detail }: { code: string; detail?: string | undefined }): FlotillaError {
  const known = isErrorCode(code) ? code : 'broker-no-answer';
  return new FlotillaError(known, detail === undefined ? {} : { detail });
}
