/**
 * The session layer: speaks MQTT 3.1, 3.1.1 and 5.0 with all admitted connections.
 *
 * @module
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Cancel, Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { pauseMinMs } from '../../core/patient-timeout.ts';
import type { Logger } from '../../core/log.ts';
import type { BrokerLayer, LayerTurn } from '../contracts/broker-layer.ts';
import type { Identity } from '../contracts/identity.ts';
import type {
  Connection,
  BrokerMessage,
  SessionLayerDeps,
  SessionStatistics,
} from '../contracts/session-layer.ts';
import type { Wire } from '../contracts/connection-wire.ts';
import { AedesPersistence } from './aedes/aedes-persistence.ts';
import { openMemoryStore } from '../store/memory-store.ts';
import type { SessionStore } from '../store/session-store.ts';
import { storeLimits } from '../store/open-store.ts';
import { LayerInspection } from './inspection/layer-inspection.ts';
import type { SessionInspection } from '../contracts/session-inspection.ts';
import { AedesCore } from './aedes/aedes-core.ts';
import { ClientConnection, type ConnectionHost } from './connection/connection.ts';
import { dispatch } from './handlers/dispatch.ts';
import { Publisher } from './state/publisher.ts';
import { RetainedSender } from './connection/retained-sender.ts';
import { ReadTurns } from './connection/read-turns.ts';
import { WriteScheduler } from './connection/write-scheduler.ts';
import { Hooks } from './plugins/hooks.ts';
import { afterConfirmations, type ReceiverConfirmation } from './delivery/receiver-confirmation.ts';
import { Message } from './delivery/message.ts';
import { requestProperties } from './wire/request-properties.ts';
import { WriteBatchPool } from './output/write-batch.ts';
import { MemoryTotals } from './delivery/memory-queue.ts';
import { Counters, type SessionContext } from './state/context.ts';
import { LocalInterest } from './peers/local-interest.ts';
import { SessionPeers, type Partition } from './peers/session-peers.ts';
import { isPeerId } from './state/peer-id.ts';
import { Rooms } from './state/rooms.ts';
import type { Session } from './state/session.ts';
import { SessionRegistry } from './state/session-registry.ts';
import type { WillFate } from './state/wills.ts';

export type SessionLayerOptions = SessionLayerDeps & {
  readonly clock: Clock;
  readonly log: Logger;
  /** An open store that is not loaded: the layer loads and closes it. Default: a store in memory. */
  readonly store?: SessionStore;
  /** The partition of the fleet that the layer serves. Default: it serves all identities, and works alone. */
  readonly partition?: Partition;
};

/** The interval of timeout checks, in ms. */
const sweepMs = 500;
/** How many nodes of the retained messages are visited in one turn of the event loop. */
const stepsPerTurn = 2000;
/** How long connections may take to close when the layer closes, by default, in ms. */
const closeMaxMs = 2000;

/**
 * Starts the layer with the sessions, queues and wills of the store.
 *
 * @throws FlotillaError errors of the store, such as `store-damaged`
 */
export async function createSessionLayer(
  config: Config,
  deps: SessionLayerOptions,
): Promise<MqttSessionLayer> {
  const limits = config.limits.broker;
  const store = deps.store ?? openMemoryStore({ limits: storeLimits(limits), clock: deps.clock });
  const recovered = await store.load();
  const interest = deps.partition && new LocalInterest();
  const context: SessionContext = {
    limits,
    authorizer: deps.authorizer,
    events: deps.events,
    intercept: deps.intercept,
    rights: deps.rights,
    clock: deps.clock,
    log: deps.log,
    store,
    counters: new Counters(),
    batches: new WriteBatchPool(),
    memoryTotals: new MemoryTotals(),
    rooms: new Rooms(limits),
    hooks: new Hooks(),
    announce: interest && ((filter) => interest.announced(filter)),
    observer: interest,
  };
  const layer = new MqttSessionLayer(context, (host) =>
    deps.partition && interest
      ? new SessionPeers({ host, partition: deps.partition, interest })
      : undefined,
  );
  const sessions = recovered.sessions.filter(({ clientId }) => !isPeerId(clientId));
  layer.sessions.recover({ ...recovered, sessions });
  layer.peers?.recover(recovered.sessions);
  await layer.core.listen();
  return layer;
}

/** Implements {@link BrokerLayer}. `core` is the Aedes instance for plug-ins. */
export class MqttSessionLayer implements BrokerLayer, ConnectionHost {
  readonly context: SessionContext;
  readonly publisher: Publisher;
  readonly sessions: SessionRegistry;
  readonly scheduler: WriteScheduler;
  readonly readTurns: ReadTurns;
  readonly retainedSender: RetainedSender;
  readonly core: AedesCore;
  readonly inspection: SessionInspection;
  /** The other partitions of the fleet; undefined if the layer works alone. */
  readonly peers: SessionPeers | undefined;
  readonly dispatch = dispatch;
  readonly alwaysReads = false;
  readonly #clients = new Set<ClientConnection>();
  readonly #byIdentity = new Map<string, Set<ClientConnection>>();
  #cancelSweep: Cancel | undefined = undefined;
  #closing: Promise<void> | undefined = undefined;

  get turn(): LayerTurn {
    return this.scheduler;
  }

  get storeStalled(): string | undefined {
    return this.context.store.stalled;
  }

  constructor(
    context: SessionContext,
    makePeers: (host: ConnectionHost) => SessionPeers | undefined = () => undefined,
  ) {
    this.context = context;
    this.publisher = new Publisher(context);
    this.sessions = new SessionRegistry(context, this.publisher);
    this.scheduler = new WriteScheduler(context);
    this.readTurns = new ReadTurns(context.clock);
    this.retainedSender = new RetainedSender(context);
    this.peers = makePeers(this);
    this.core = new AedesCore(
      context,
      this.publisher,
      new AedesPersistence(context.store, this.sessions, this.publisher),
    );
    this.inspection = new LayerInspection({
      context,
      publisher: this.publisher,
      sessions: this.sessions,
      clients: () => this.#clients,
    });
    this.#scheduleSweep();
  }

  accept(wire: Wire, identity: Identity, closed?: () => void): Connection {
    const client = new ClientConnection(this, wire, identity, closed);
    this.#clients.add(client);
    const ofIdentity = this.#byIdentity.get(identity.id);
    if (ofIdentity === undefined) this.#byIdentity.set(identity.id, new Set([client]));
    else ofIdentity.add(client);
    if (this.#closing !== undefined) client.close('server-shutting-down');
    return client;
  }

  connections(): Iterable<Connection> {
    return this.#clients;
  }

  endConnections(code: ErrorCode = 'server-shutting-down'): void {
    this.sessions.prepareShutdown();
    for (const client of [...this.#clients]) client.close(code);
  }

  async copyStore(path: string): Promise<boolean> {
    const { copyTo } = this.context.store;
    await copyTo?.(path);
    return copyTo !== undefined;
  }

  connectionsOf(id: string): readonly Connection[] {
    return [...(this.#byIdentity.get(id) ?? [])].filter((client) => !client.closed);
  }

  publish(...messages: readonly BrokerMessage[]): Promise<void> {
    const outcomes = messages.map(({ topic, payload, qos, retain, replyTo }) => {
      const message = Message.from(topic, qos, retain, payload);
      if (replyTo !== undefined) message.setProperties(requestProperties(replyTo), 0);
      return this.publisher.publish(message, this.publisher.route(topic), undefined);
    });
    if (outcomes.some(({ refusal }) => refusal !== undefined)) {
      return Promise.reject(
        new FlotillaError('internal', { detail: 'no room for retained messages' }),
      );
    }
    if (!outcomes.some(({ stored }) => stored)) return Promise.resolve();
    return this.#confirmed(outcomes.flatMap(({ confirmations }) => confirmations ?? []));
  }

  async *retained(filter: string): AsyncIterable<{ topic: string; payload: Buffer }> {
    const walk = this.context.store.walkRetained(filter);
    let steps = 0;
    for (let next = walk.next(); next.done !== true; next = walk.next()) {
      if (next.value !== undefined) yield { topic: next.value.topic, payload: next.value.payload };
      if (++steps % stepsPerTurn === 0) await nextTurn();
    }
  }

  statistics(): SessionStatistics {
    const { counters, store, memoryTotals } = this.context;
    const { queuedMessages, queuedBytes } = store.statistics;
    let peerMessages = 0;
    let peerBytes = 0;
    for (const { messages, bytes } of this.peers?.queued ?? []) {
      peerMessages += messages;
      peerBytes += bytes;
    }
    return {
      messagesIn: counters.messagesIn,
      messagesOut: counters.messagesOut,
      bytesIn: counters.bytesIn,
      bytesOut: counters.bytesOut,
      sessions: this.sessions.size,
      subscriptions: this.publisher.router.subscriptions - (this.peers?.subscriptions ?? 0),
      retained: store.retainedCount,
      queuedMessages: queuedMessages - peerMessages + memoryTotals.messages,
      queuedBytes: queuedBytes - peerBytes + memoryTotals.bytes,
      storeCommits: counters.storeCommits,
      storeCommitMs: counters.storeCommitMs,
    };
  }

  async forget(id: string, { withRetained = false } = {}): Promise<void> {
    this.sessions.forget(id);
    if (withRetained) await this.context.store.deleteRetainedOf(id);
    await this.#committed();
  }

  /** @param connectionsMaxMs how long connections may take to close */
  close(connectionsMaxMs: number = closeMaxMs): Promise<void> {
    return (this.#closing ??= this.#close(connectionsMaxMs));
  }

  connectionAccepted(client: ClientConnection): void {
    this.core.register(client);
  }

  connectionClosed(client: ClientConnection): void {
    if (!this.#clients.delete(client)) return;
    const ofIdentity = this.#byIdentity.get(client.identity.id);
    ofIdentity?.delete(client);
    if (ofIdentity?.size === 0) this.#byIdentity.delete(client.identity.id);
    this.core.unregister(client);
  }

  releaseSession(session: Session, will: WillFate): void {
    this.sessions.release(session, will);
  }

  async #close(connectionsMaxMs: number): Promise<void> {
    // Acknowledgements that wait for the commit are sent first.
    this.scheduler.flush();
    await this.#committed().catch(() => undefined);
    this.scheduler.flush();
    this.endConnections();
    await this.#waitUntilClosed(connectionsMaxMs);
    this.peers?.close();
    this.#cancelSweep?.();
    this.sessions.close();
    await new Promise<void>((resolve) => this.core.close(resolve));
    await this.context.store.close();
  }

  /** Waits until all connections are closed, and cuts those that take too long. */
  async #waitUntilClosed(maxMs: number): Promise<void> {
    const deadlineMs = performance.now() + maxMs;
    while (this.#clients.size > 0) {
      const late = performance.now() >= deadlineMs;
      for (const client of this.#clients) {
        if (late || client.wire.isFinished) client.wire.destroy();
      }
      // Real time, not the injected clock: sockets do not wait for a test to advance it.
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  #committed(): Promise<void> {
    return this.#confirmed([]);
  }

  #confirmed(confirmations: readonly ReceiverConfirmation[]): Promise<void> {
    return new Promise((resolve, reject) => {
      afterConfirmations(this.context.store, confirmations, (error) => {
        // What other partitions have not confirmed at the end is in the store, and is delivered from there.
        const isKept = this.#closing !== undefined && error?.code === 'delivery-unconfirmed';
        if (error === undefined || isKept) resolve();
        else reject(error);
      });
    });
  }

  #scheduleSweep(): void {
    const dueMs = this.context.clock.monotonicMs() + sweepMs;
    this.#cancelSweep = this.context.clock.after(sweepMs, () => {
      const nowMs = this.context.clock.monotonicMs();
      const lateMs = nowMs - dueMs;
      if (lateMs >= pauseMinMs) {
        // The process was paused (a virtual machine, SIGSTOP). What clients sent meanwhile waits in their
        // sockets and is read before anybody is judged.
        for (const client of this.#clients) client.onProcessPaused(lateMs);
        this.peers?.onProcessPaused(lateMs);
        this.#scheduleSweep();
        return;
      }
      for (const client of this.#clients) client.sweep(nowMs);
      this.peers?.sweep(nowMs);
      this.publisher.router.renew(nowMs);
      this.#scheduleSweep();
    });
  }
}
