/**
 * The `persistence` of the Aedes instance: what plug-ins can reach of the stored state. They can read
 * and store retained messages, and read the subscriptions of the sessions. Sessions, queues and wills
 * belong to the session layer, so the other methods of an Aedes persistence do not exist.
 *
 * @module
 */
import { Readable } from 'node:stream';
import { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import { afterConfirmations } from '../delivery/receiver-confirmation.ts';
import type { Publisher } from '../state/publisher.ts';
import type {
  Qos,
  SessionStore,
  StoredMessage,
  SubscriptionRecord,
} from '../../store/session-store.ts';

/** The fields of an Aedes packet that are stored with a retained message. */
export interface RetainedPacket {
  readonly topic: string;
  readonly payload?: string | Buffer;
  readonly qos?: Qos;
  readonly clientId?: string;
}

/** A subscription as Aedes names its fields. */
export interface AedesSubscription {
  readonly topic: string;
  readonly qos: Qos;
  /** Retain Handling. */
  readonly rh: 0 | 1 | 2;
  /** Retain As Published. */
  readonly rap: boolean;
  /** No Local. */
  readonly nl: boolean;
  readonly subscriptionIdentifier?: number;
}

/** A session, as far as plug-ins can read it. */
export interface ReadableSession {
  readonly clientId: string;
  /** By topic filter, with `$share/{group}/`. */
  readonly subscriptions: ReadonlyMap<string, SubscriptionRecord>;
}

export interface ReadableSessions {
  get(clientId: string): ReadableSession | undefined;
  values(): Iterable<ReadableSession>;
}

export class AedesPersistence {
  readonly #store: SessionStore;
  readonly #publisher: Pick<Publisher, 'retainOnly'>;
  readonly #sessions: ReadableSessions;
  #broker: { readonly id: string } | undefined = undefined;

  constructor(
    store: SessionStore,
    sessions: ReadableSessions,
    publisher: Pick<Publisher, 'retainOnly'>,
  ) {
    this.#store = store;
    this.#publisher = publisher;
    this.#sessions = sessions;
  }

  get broker(): { readonly id: string } | undefined {
    return this.#broker;
  }

  /** Called by Aedes, which requires an async function. */
  async setup(broker: { readonly id: string }): Promise<void> {
    this.#broker = broker;
    await Promise.resolve();
  }

  /**
   * Stores a retained message without sending it to subscribers; an empty payload deletes it. Resolves
   * after the commit.
   *
   * @throws FlotillaError `internal` if there is no room for more retained messages; errors of the store
   */
  async storeRetained(packet: RetainedPacket): Promise<void> {
    const { topic, payload = '', qos = 0, clientId } = packet;
    const { refusal, confirmations = [] } = this.#publisher.retainOnly({
      topic,
      // A copy: the plug-in may change its buffer later.
      payload: typeof payload === 'string' ? Buffer.from(payload) : Buffer.from(payload),
      qos,
      retain: true,
      properties: undefined,
      expiresAtMs: undefined,
      createdAtMs: 0,
      publisher: clientId,
    });
    if (refusal !== undefined)
      throw new FlotillaError('internal', { detail: 'no room for retained messages' });
    await new Promise<void>((resolve, reject) => {
      afterConfirmations(this.#store, confirmations, (error) =>
        error === undefined ? resolve() : reject(error),
      );
    });
  }

  /** A stream of the packets of the retained messages that a topic filter matches. */
  createRetainedStream(filter: string): Readable {
    return this.createRetainedStreamCombi([filter]);
  }

  /** Like {@link createRetainedStream} for several filters: each message is in the stream once. */
  createRetainedStreamCombi(filters: readonly string[]): Readable {
    const byTopic = new Map<string, StoredMessage>();
    for (const filter of filters) {
      for (const message of this.#store.retained(filter)) byTopic.set(message.topic, message);
    }
    const packets = [...byTopic.values()].map(({ topic, payload, qos, retain }) => {
      return { cmd: 'publish', topic, payload, qos, retain, dup: false };
    });
    return Readable.from(packets);
  }

  /** The subscriptions of the session of a client id; none if there is no session. */
  subscriptionsByClient(client: { readonly id: string }): Promise<AedesSubscription[]> {
    const { subscriptions } = this.#sessions.get(client.id) ?? {};
    return Promise.resolve([...(subscriptions?.values() ?? [])].map(subscriptionOf));
  }

  /** A stream of the client ids whose sessions have a subscription with exactly this filter. */
  getClientList(filter: string): Readable {
    const subscribed = [...this.#sessions.values()].filter(({ subscriptions }) =>
      subscriptions.has(filter),
    );
    return Readable.from(subscribed.map(({ clientId }) => clientId));
  }
}

function subscriptionOf(record: SubscriptionRecord): AedesSubscription {
  const { filter, qos, retainHandling, retainAsPublished, noLocal, identifier } = record;
  return {
    topic: filter,
    qos,
    rh: retainHandling,
    rap: retainAsPublished,
    nl: noLocal,
    ...(identifier === undefined ? {} : { subscriptionIdentifier: identifier }),
  };
}
