/**
 * All sessions of the broker: who holds which, when they end, and their wills.
 *
 * @module
 */
import type { Cancel } from '../../../core/clock.ts';
import { splitShared } from '../../../core/topic.ts';
import type { Identity } from '../../contracts/identity.ts';
import type { Recovered, StoredMessage, WillRecord } from '../../store/session-store.ts';
import type { Publisher } from './publisher.ts';
import { callHook } from '../plugins/hooks.ts';
import { Message } from '../delivery/message.ts';
import { emitterPacket } from '../plugins/plugin-receiver.ts';
import type { SessionContext } from './context.ts';
import { neverExpires, outboundLimits, Session, type SessionOwner } from './session.ts';
import { addToRouter, removeSubscription } from './subscriptions.ts';

/** What a CONNECT asks of its session. */
export interface OpenRequest {
  readonly clientId: string;
  /** Clean Start, or Clean Session. */
  readonly clean: boolean;
  /** As granted. */
  readonly expirySeconds: number;
  readonly version: 3 | 4 | 5;
  readonly will: { readonly message: StoredMessage; readonly delaySeconds: number } | undefined;
  /** How many deliveries may be in flight. */
  readonly window: number;
}

/** After a restart wills wait at least so long, in ms: a fleet that comes back at once left no will. */
const recoveredWillMinMs = 5000;

export class SessionRegistry {
  readonly #byId = new Map<string, Session>();
  /** Kept sessions of each identity, those that were used last behind the others. */
  readonly #keptByIdentity = new Map<string, Set<Session>>();
  readonly #context: SessionContext;
  readonly #publisher: Publisher;
  /**
   * The broker is shutting down: wills stay in a durable store and go out after the restart, unless
   * their client is back in its kept session (3.1.1, 3.1.2.5: a server may defer them so). A store that forgets
   * publishes them now.
   */
  closing = false;
  /** Wills whose session is gone (a crash): they wait only for their delay. */
  readonly #orphans = new Map<string, { readonly publish: () => void; readonly cancel: Cancel }>();

  constructor(context: SessionContext, publisher: Publisher) {
    this.#context = context;
    this.#publisher = publisher;
  }

  get size(): number {
    return this.#byId.size;
  }

  get(clientId: string): Session | undefined {
    return this.#byId.get(clientId);
  }

  values(): Iterable<Session> {
    return this.#byId.values();
  }

  /** Takes up what the store remembers. Once, before the first connection. */
  recover(recovered: Recovered): void {
    const nowMs = this.#context.clock.now();
    for (const record of recovered.sessions) {
      const { clientId, identityId, expirySeconds } = record;
      // A record without expiry: its connection ended with the broker, and it with its connection.
      if (expirySeconds === 0) {
        this.#context.store.deleteSession(clientId);
        continue;
      }
      const session = this.#create(clientId, identityId, expirySeconds);
      session.protocolVersion = record.protocolVersion;
      for (const one of record.subscriptions) {
        session.subscriptions.set(one.filter, one);
        addToRouter(this.#publisher, session, one);
      }
      if (record.incoming.length > 0) session.incoming = new Set(record.incoming);
      if (record.disconnectedAtMs === undefined) session.save(nowMs);
      this.#scheduleExpiry(session, record.disconnectedAtMs ?? nowMs);
    }
    for (const will of recovered.wills) this.#recoverWill(will, nowMs);
  }

  /**
   * Gives a connection its session: the one that is kept, or a new one. Who held it is closed first
   * [MQTT-3.1.4-3]. A session of another identity under the same client id is not handed over.
   *
   * @returns whether the session was there already [MQTT-3.2.2-2], [MQTT-3.2.2-3]; and whether the
   *   store was given something that CONNACK must wait for
   */
  open(
    owner: SessionOwner,
    identity: Identity,
    request: OpenRequest,
  ): { session: Session; present: boolean; stored: boolean } {
    const { clientId } = request;
    this.#byId.get(clientId)?.owner?.close('session-taken-over');
    let session = this.#byId.get(clientId);
    let stored = request.will !== undefined || session?.kept === true;
    if (session !== undefined && (request.clean || session.identityId !== identity.id)) {
      this.end(session); // [MQTT-3.1.2-4], and the delayed will goes out with it.
      session = undefined;
    }
    // Kept with another expiry than it stands in the store with: only a new one can change that.
    const present = session !== undefined;
    if (!present && request.expirySeconds > 0) this.#evictIfFull(identity.id);
    session ??= this.#create(clientId, identity.id, request.expirySeconds);
    this.#cancelTimers(session);
    session.expirySeconds = request.expirySeconds;
    session.protocolVersion = request.version;
    session.owner = owner;
    session.identity = identity;
    session.limits = outboundLimits(this.#context, identity);
    session.save(undefined);
    this.#setWill(session, request.will);
    stored ||= session.kept;
    return { session, present, stored };
  }

  /**
   * Its connection is gone.
   *
   * @param publishWill whether the will, if there is one, is to be published
   */
  release(session: Session, publishWill: boolean): void {
    session.owner = undefined;
    session.outbound.detach();
    const { will } = session;
    if (will !== undefined && !(this.closing && this.#context.store.durable)) {
      if (!publishWill) this.#deleteWill(session);
      else if (will.delaySeconds === 0 || session.expirySeconds === 0) this.#publishWill(session);
      else this.#delayWill(session, will);
    }
    if (session.expirySeconds === 0) {
      this.end(session);
      return;
    }
    const nowMs = this.#context.clock.now();
    session.save(nowMs);
    this.#markRecentlyUsed(session);
    this.#scheduleExpiry(session, nowMs);
  }

  /** Ends a session for good. A will that still waits for its delay goes out now [MQTT-3.1.3.2.2]. */
  end(session: Session): void {
    this.#cancelTimers(session, true);
    for (const filter of session.subscriptions.keys()) this.#removeFromRouter(session, filter);
    session.subscriptions.clear();
    session.outbound.detach();
    session.outbound.discardQos0();
    if (this.#byId.get(session.clientId) === session) this.#byId.delete(session.clientId);
    const kept = this.#keptByIdentity.get(session.identityId);
    kept?.delete(session);
    if (kept?.size === 0) this.#keptByIdentity.delete(session.identityId);
    if (session.kept) this.#context.store.deleteSession(session.clientId);
  }

  /** Authorises all subscriptions of a session again, and drops those no longer allowed. */
  reauthorize(session: Session): void {
    const { identity } = session;
    if (identity === undefined) return;
    session.limits = outboundLimits(this.#context, identity);
    for (const [filter, one] of session.subscriptions) {
      const shared = splitShared(filter);
      const plain = shared === undefined || shared === 'malformed' ? filter : shared.filter;
      const verdict = this.#context.authorizer.subscribe(identity, plain, one.qos);
      if (verdict.allowed) {
        this.#publisher.router.invalidate(plain);
      } else {
        removeSubscription(this.#context, this.#publisher, session, filter);
        this.#context.events.denied(identity, 'subscribe', filter, verdict.code);
      }
    }
  }

  /** Ends all sessions of an identity without a word: its wills are not published. */
  forget(identityId: string): void {
    for (const session of [...(this.#keptByIdentity.get(identityId) ?? [])]) {
      this.#deleteWill(session);
      if (session.owner === undefined) this.end(session);
      else session.expirySeconds = 0;
    }
  }

  /** Stops all timers; sessions and wills stay in the store. */
  close(): void {
    for (const session of this.#byId.values()) {
      session.cancelExpiry?.();
      session.cancelWill?.();
      session.outbound.detach();
    }
    for (const { cancel } of this.#orphans.values()) cancel();
    this.#orphans.clear();
  }

  #create(clientId: string, identityId: string, expirySeconds: number): Session {
    const session = new Session(
      clientId,
      identityId,
      expirySeconds,
      this.#context,
      this.#publisher,
    );
    this.#byId.set(clientId, session);
    if (session.kept) this.#markRecentlyUsed(session);
    return session;
  }

  #markRecentlyUsed(session: Session): void {
    let kept = this.#keptByIdentity.get(session.identityId);
    if (kept === undefined) this.#keptByIdentity.set(session.identityId, (kept = new Set()));
    kept.delete(session);
    kept.add(session);
  }

  /**
   * A device that takes a new client id at each start must not fill the broker: of the sessions of
   * its identity the one that is away the longest ends.
   */
  #evictIfFull(identityId: string): void {
    const kept = this.#keptByIdentity.get(identityId);
    if (kept === undefined || kept.size < this.#context.limits.sessionsPerDeviceMax) return;
    for (const session of kept) {
      if (session.owner !== undefined) continue;
      const { messages } = this.#context.store.queueOf(session.clientId);
      if (messages > 0) session.dropped('session-evicted', messages);
      this.end(session);
      return;
    }
  }

  #removeFromRouter(session: Session, filter: string): void {
    const shared = splitShared(filter);
    if (shared === undefined || shared === 'malformed') {
      this.#publisher.router.remove(session, filter, undefined);
    } else {
      this.#publisher.router.remove(session, shared.filter, shared.group);
    }
  }

  #scheduleExpiry(session: Session, fromMs: number): void {
    if (session.expirySeconds === neverExpires) return;
    const leftMs = fromMs + session.expirySeconds * 1000 - this.#context.clock.now();
    session.cancelExpiry = this.#context.clock.after(Math.max(0, leftMs), () => {
      session.cancelExpiry = undefined;
      if (session.owner === undefined) this.end(session);
    });
  }

  /** `ending`: a delayed will is published, not taken back. */
  #cancelTimers(session: Session, ending = false): void {
    session.cancelExpiry?.();
    session.cancelExpiry = undefined;
    const delayed = session.cancelWill !== undefined;
    session.cancelWill?.();
    session.cancelWill = undefined;
    if (!delayed) return;
    if (ending) this.#publishWill(session);
    else this.#deleteWill(session); // [MQTT-3.1.3-9] back before the delay: no will.
  }

  #setWill(session: Session, will: OpenRequest['will']): void {
    this.#orphans.get(session.clientId)?.publish();
    if (will === undefined) {
      session.will = undefined;
      return;
    }
    const record: WillRecord = {
      clientId: session.clientId,
      identityId: session.identityId,
      message: will.message,
      delaySeconds: will.delaySeconds,
      dueAtMs: undefined,
    };
    session.will = record;
    this.#context.store.putWill(record);
  }

  #deleteWill(session: Session): void {
    if (session.will === undefined) return;
    session.will = undefined;
    session.cancelWill?.();
    session.cancelWill = undefined;
    this.#context.store.deleteWill(session.clientId);
  }

  #delayWill(session: Session, will: WillRecord): void {
    const delayMs = will.delaySeconds * 1000;
    const dueAtMs = this.#context.clock.now() + delayMs;
    const record = { ...will, dueAtMs };
    session.will = record;
    this.#context.store.putWill(record);
    session.cancelWill = this.#context.clock.after(delayMs, () => this.#publishWill(session));
  }

  #publishWill(session: Session): void {
    const { will, identity } = session;
    if (will === undefined) return;
    this.#deleteWill(session);
    const { message } = will;
    if (identity !== undefined) {
      const { topic, qos, retain, payload } = message;
      const { authorizer, events } = this.#context;
      const verdict = authorizer.publish(identity, topic, qos, retain, payload.length);
      if (!verdict.allowed) {
        events.denied(identity, 'publish', topic, verdict.code);
        return;
      }
    }
    this.#offer(message, session);
  }

  /** Wills are publishes that plug-ins are asked about too, without a client: it is gone. */
  #offer(stored: StoredMessage, session: Session | undefined): void {
    const { authorizePublish } = this.#context.hooks;
    if (authorizePublish === undefined) return this.#send(stored, session);
    const packet = { ...emitterPacket(Message.fromStored(stored)) };
    callHook<undefined>(
      (reply) => authorizePublish(null, packet, reply),
      ({ error }) => {
        const { topic, payload, qos, retain } = packet;
        if (error === undefined) this.#send({ ...stored, topic, payload, qos, retain }, session);
      },
    );
  }

  #recoverWill(will: WillRecord, nowMs: number): void {
    const session = this.#byId.get(will.clientId);
    const delayMs =
      will.dueAtMs !== undefined
        ? will.dueAtMs - nowMs
        : 1000 * Math.min(will.delaySeconds, session?.expirySeconds ?? 0);
    const waitMs = Math.max(recoveredWillMinMs, delayMs);
    if (session !== undefined) {
      session.will = will;
      session.cancelWill = this.#context.clock.after(waitMs, () => this.#publishWill(session));
      return;
    }
    const publish = (): void => {
      this.#orphans.get(will.clientId)?.cancel();
      this.#orphans.delete(will.clientId);
      this.#context.store.deleteWill(will.clientId);
      this.#offer(will.message, undefined);
    };
    const cancel = this.#context.clock.after(waitMs, publish);
    this.#orphans.set(will.clientId, { publish, cancel });
  }

  #send(stored: StoredMessage, session: Session | undefined): void {
    const nowMs = this.#context.clock.now();
    // The expiry interval of a will runs from its publication.
    const message = Message.fromStored({
      ...stored,
      createdAtMs: nowMs,
      expiresAtMs:
        stored.expiresAtMs === undefined
          ? undefined
          : nowMs + stored.expiresAtMs - stored.createdAtMs,
    });
    this.#publisher.publish(message, this.#publisher.route(message.topic), session);
  }
}
