/**
 * Sends the retained messages of new subscriptions. Each turn of the event loop has one budget for all
 * connections, which take turns. So one SUBSCRIBE with many filters that match a million messages delays
 * no other client, and nothing is gathered: the search continues where it stopped.
 *
 * @module
 */
import { AgeMap } from '../../../core/age-map.ts';
import type { Clock } from '../../../core/clock.ts';
import type { Authorizer } from '../../contracts/authorizer.ts';
import type { Identity } from '../../contracts/identity.ts';
import type { SessionStore, StoredMessage, SubscriptionRecord } from '../../store/session-store.ts';
import { Message } from '../delivery/message.ts';
import type { Receiver } from '../delivery/receiver.ts';

/** How many nodes of the tree of topics are visited in one turn; each costs about 0.2 µs. */
const stepsPerTurn = 4000;
/** How many messages are sent in one turn; each costs a few µs. */
const messagesPerTurn = 512;
/** The part of one connection, while others wait. */
const stepsPerConnection = 1000;
/** The pause before the next attempt when no connection has room, in ms. */
const noRoomPauseMs = 50;

/** The connection that subscribed. */
export interface RetainedReceiver {
  readonly identity: Identity;
  readonly closed: boolean;
  readonly hasRoom: boolean;
}

/** The session of a connection. */
export interface RetainedSession extends Pick<Receiver, 'deliver'> {
  readonly clientId: string;
  readonly subscriptions: ReadonlyMap<string, SubscriptionRecord>;
  readonly outbound: { readonly hasWaiting: boolean };
}

interface Search {
  readonly record: SubscriptionRecord;
  readonly walk: Iterator<StoredMessage | undefined, void, undefined>;
}

/** The subscriptions of one connection whose retained messages are not sent yet, by filter. */
interface Job {
  readonly session: RetainedSession;
  readonly searches: Map<string, Search>;
}

export interface RetainedContext {
  readonly clock: Pick<Clock, 'after'>;
  readonly store: Pick<SessionStore, 'walkRetained'>;
  readonly authorizer: Pick<Authorizer, 'receive'>;
}

type Progress = 'done' | 'no-room' | 'more';

export class RetainedSender {
  readonly #context: RetainedContext;
  readonly #jobs = new AgeMap<RetainedReceiver, Job>();
  #stepsLeft = stepsPerTurn;
  #messagesLeft = messagesPerTurn;
  #scheduled = false;
  /** Whether a timer runs, because no connection has room. */
  #waiting = false;
  readonly #nextTurn = (): void => this.#onNextTurn();

  constructor(context: RetainedContext) {
    this.#context = context;
  }

  /** Sends the retained messages that new subscriptions match, with RETAIN set [MQTT-3.3.1-8]. */
  send(
    client: RetainedReceiver,
    session: RetainedSession,
    records: readonly SubscriptionRecord[],
  ): void {
    if (records.length === 0) return;
    let job = this.#jobs.get(client);
    if (job === undefined) this.#jobs.set(client, (job = { session, searches: new Map() }));
    for (const record of records) {
      // A search for the same filter is replaced: a second SUBSCRIBE starts from the beginning.
      job.searches.set(record.filter, {
        record,
        walk: this.#context.store.walkRetained(record.filter),
      });
    }
    if (this.#work(client, job) === 'done') this.#jobs.delete(client);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#nextTurn);
  }

  #onNextTurn(): void {
    this.#scheduled = false;
    this.#stepsLeft = stepsPerTurn;
    this.#messagesLeft = messagesPerTurn;
    let hasMore = false;
    for (let left = this.#jobs.size; left > 0 && this.#hasBudget; left--) {
      const client = this.#jobs.oldestKey();
      const job = client === undefined ? undefined : this.#jobs.get(client);
      if (client === undefined || job === undefined) break;
      this.#jobs.delete(client);
      const progress = this.#work(client, job);
      if (progress !== 'done') this.#jobs.set(client, job);
      if (progress === 'more') hasMore = true;
    }
    if (this.#jobs.size === 0) return;
    if (hasMore || !this.#hasBudget) this.#schedule();
    else this.#waitForRoom();
  }

  #waitForRoom(): void {
    if (this.#waiting) return;
    this.#waiting = true;
    this.#context.clock.after(noRoomPauseMs, () => {
      this.#waiting = false;
      this.#schedule();
    });
  }

  get #hasBudget(): boolean {
    return this.#stepsLeft > 0 && this.#messagesLeft > 0;
  }

  /** Continues the searches of one connection, within the budget. */
  #work(client: RetainedReceiver, { session, searches }: Job): Progress {
    const endAt = this.#stepsLeft - stepsPerConnection;
    for (const [filter, { record, walk }] of searches) {
      if (client.closed) return 'done';
      for (;;) {
        // The subscription was removed or replaced in the meantime.
        if (session.subscriptions.get(filter) !== record) break;
        if (!this.#hasBudget || this.#stepsLeft <= endAt) return 'more';
        // With QoS 1 and 2, what the client has not acknowledged must not fill its queue.
        if (!client.hasRoom || (record.qos > 0 && session.outbound.hasWaiting)) return 'no-room';
        this.#stepsLeft--;
        const next = walk.next();
        if (next.done === true) break;
        if (next.value !== undefined) this.#deliver(client, session, record, next.value);
      }
      searches.delete(filter);
    }
    return 'done';
  }

  #deliver(
    client: RetainedReceiver,
    session: RetainedSession,
    record: SubscriptionRecord,
    stored: StoredMessage,
  ): void {
    // [MQTT-3.8.3-3] No Local: a retained message is not sent to the client that published it either.
    if (record.noLocal && stored.publisher === session.clientId) return;
    if (!this.#context.authorizer.receive(client.identity, stored.topic)) return;
    this.#messagesLeft--;
    const qos = stored.qos < record.qos ? stored.qos : record.qos;
    const identifiers = record.identifier === undefined ? [] : [record.identifier];
    session.deliver(Message.fromStored(stored), qos, true, identifiers);
  }
}
