/**
 * All sessions of the broker: which connection uses which session, and when sessions end.
 *
 * @module
 */
import { filterWithoutShare } from '../../../core/topic.ts';
import { isOtherIdentity } from '../../../core/reused-name.ts';
import { WideMap } from '../../../core/wide-map.ts';
import type { Identity } from '../../contracts/identity.ts';
import type { Recovered } from '../../store/session-store.ts';
import type { SessionContext } from './context.ts';
import type { Publisher } from './publisher.ts';
import { oneEntry } from './rooms.ts';
import { awaitRelease } from './unreleased.ts';
import { neverExpires, outboundLimits, Session, type SessionOwner } from './session.ts';
import {
  addToRouter,
  removeFromRouter,
  removeSubscription,
  subscriptionAmount,
} from './subscriptions.ts';
import { Wills, type RequestedWill, type WillFate } from './wills.ts';

/** The session that a CONNECT asks for. */
export interface AttachRequest {
  readonly clientId: string;
  /** Clean Start (5.0) or Clean Session (3.1.1). */
  readonly clean: boolean;
  /** The granted Session Expiry Interval. */
  readonly expirySeconds: number;
  readonly version: 3 | 4 | 5;
  readonly will: RequestedWill | undefined;
}

/** A session for a connection. */
export interface AttachedSession {
  readonly session: Session;
  /** Session Present: whether the session existed before [MQTT-3.2.2-2], [MQTT-3.2.2-3]. */
  readonly present: boolean;
  /** Whether it was taken over from a live connection. */
  readonly takesOver: boolean;
  /** Whether something was put in the store, so that CONNACK must wait for the commit. */
  readonly stored: boolean;
}

export class SessionRegistry {
  readonly #byId = new WideMap<string, Session>();
  /** The kept sessions of each identity, the least recently used first. */
  readonly #keptByIdentity = new WideMap<string, Set<Session>>();
  readonly #context: SessionContext;
  readonly #publisher: Publisher;
  readonly #wills: Wills;

  constructor(context: SessionContext, publisher: Publisher) {
    this.#context = context;
    this.#publisher = publisher;
    this.#wills = new Wills(context, publisher);
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

  /** Restores sessions and wills from the store. Called once, before the first connection. */
  recover(recovered: Recovered): void {
    const nowMs = this.#context.clock.now();
    for (const record of recovered.sessions) {
      const { clientId, identityId, expirySeconds } = record;
      // Without an expiry interval a session ends with its connection, which ended with the broker.
      if (expirySeconds === 0) {
        this.#context.store.deleteSession(clientId);
        continue;
      }
      const session = this.#create(clientId, identityId, expirySeconds);
      session.protocolVersion = record.protocolVersion;
      session.identityCreatedAtMs = record.identityCreatedAtMs;
      for (const subscription of record.subscriptions) {
        const { filter } = subscription;
        this.#context.rooms.subscriptions.add(identityId, subscriptionAmount(filter));
        session.subscriptions.set(filter, subscription);
        addToRouter(this.#publisher, session, subscription);
      }
      for (const packetId of record.incoming) awaitRelease(this.#context, session, packetId);
      if (record.disconnectedAtMs === undefined) session.save(nowMs);
      this.#scheduleExpiry(session, record.disconnectedAtMs ?? nowMs);
    }
    for (const will of recovered.wills) {
      this.#wills.recover(will, this.#byId.get(will.clientId), nowMs);
    }
  }

  /**
   * Attaches a connection to its session: the existing one or a new one. If another connection uses it,
   * that one is closed first [MQTT-3.1.4-3]. A session that belongs to another identity is ended, not
   * resumed.
   */
  attach(owner: SessionOwner, identity: Identity, request: AttachRequest): AttachedSession {
    const { clientId } = request;
    const takesOver = this.#byId.get(clientId)?.owner !== undefined;
    this.#endOfEarlier(identity);
    this.#byId.get(clientId)?.owner?.close('session-taken-over');
    let session = this.#byId.get(clientId);
    let stored = request.will !== undefined || session?.kept === true;
    if (session !== undefined && (request.clean || session.identityId !== identity.id)) {
      this.end(session); // [MQTT-3.1.2-4]; a delayed will is published too.
      session = undefined;
    }
    const present = session !== undefined;
    if (!present && request.expirySeconds > 0) this.#evictIfFull(identity);
    // An existing session stays in the store (or out of it) even if its expiry interval changes.
    session ??= this.#create(clientId, identity.id, request.expirySeconds);
    this.#cancelExpiry(session);
    this.#wills.onSessionResumed(session);
    session.expirySeconds = request.expirySeconds;
    session.protocolVersion = request.version;
    session.owner = owner;
    this.#context.observer?.readinessChanged(session);
    session.identity = identity;
    session.identityCreatedAtMs = identity.entry.createdAtMs;
    session.limits = outboundLimits(this.#context, identity);
    session.save(undefined);
    this.#wills.set(session, request.will);
    stored ||= session.kept;
    return { session, present, takesOver, stored };
  }

  /**
   * The connection of a session is closed.
   *
   * @param will what becomes of the will, if there is one
   */
  release(session: Session, will: WillFate): void {
    session.owner = undefined;
    this.#context.observer?.readinessChanged(session);
    session.outbound.detach();
    this.#wills.onConnectionClosed(session, will);
    if (session.expirySeconds === 0) {
      this.end(session);
      return;
    }
    const nowMs = this.#context.clock.now();
    session.save(nowMs);
    this.#markRecentlyUsed(session);
    this.#scheduleExpiry(session, nowMs);
  }

  /** Ends a session: its subscriptions, its queue and its record in the store are deleted. */
  end(session: Session): void {
    this.#cancelExpiry(session);
    this.#wills.onSessionEnded(session);
    for (const filter of session.subscriptions.keys()) {
      removeFromRouter(this.#publisher, session, filter);
      this.#context.rooms.subscriptions.remove(session.identityId, subscriptionAmount(filter));
    }
    session.subscriptions.clear();
    session.outbound.detach();
    session.outbound.discardQos0();
    if (this.#byId.get(session.clientId) === session) this.#byId.delete(session.clientId);
    this.#context.rooms.unreleased.remove(session.identityId, {
      entries: session.awaitingPubrel?.size ?? 0,
      bytes: 0,
    });
    session.awaitingPubrel = undefined;
    session.unconfirmed = undefined;
    if (session.kept) this.#context.rooms.sessions.remove(session.identityId, oneEntry);
    const kept = this.#keptByIdentity.get(session.identityId);
    kept?.delete(session);
    if (kept?.size === 0) this.#keptByIdentity.delete(session.identityId);
    if (session.kept) this.#context.store.deleteSession(session.clientId);
  }

  /** Authorizes all subscriptions of a session again and removes those that are not allowed any more. */
  reauthorize(session: Session): void {
    const { identity } = session;
    if (identity === undefined) return;
    session.limits = outboundLimits(this.#context, identity);
    for (const [filter, { qos }] of session.subscriptions) {
      const matched = filterWithoutShare(filter);
      const verdict = this.#context.authorizer.subscribe(identity, matched, qos);
      if (verdict.allowed) {
        this.#publisher.router.invalidate(matched);
      } else {
        removeSubscription(this.#context, this.#publisher, session, filter);
        this.#context.events.denied(identity, 'subscribe', filter, verdict.code);
      }
    }
  }

  /** Ends all sessions of an identity. Their wills are not published. */
  forget(identityId: string): void {
    this.#wills.forget(identityId);
    for (const session of [...(this.#keptByIdentity.get(identityId) ?? [])]) {
      this.#wills.delete(session);
      if (session.owner === undefined) this.end(session);
      else session.expirySeconds = 0;
    }
  }

  /** The broker is about to close all connections: the wills stay in a durable store. */
  prepareShutdown(): void {
    this.#wills.shuttingDown = true;
  }

  /** Stops all timers. Sessions and wills stay in the store. */
  close(): void {
    for (const session of this.#byId.values()) {
      session.cancelExpiry?.();
      session.cancelWill?.();
      session.outbound.detach();
    }
    this.#wills.close();
  }

  /**
   * Ends the sessions of a deleted identity with the same name, which was used again while the broker was
   * down. Their wills are not published.
   */
  #endOfEarlier({ id, entry }: Identity): void {
    for (const session of [...(this.#keptByIdentity.get(id) ?? [])]) {
      if (!isOtherIdentity(session.identityCreatedAtMs, entry.createdAtMs)) continue;
      session.owner?.close('device-removed');
      this.#wills.delete(session);
      this.end(session);
    }
  }

  #create(clientId: string, identityId: string, expirySeconds: number): Session {
    const session = new Session(clientId, identityId, expirySeconds, this.#context);
    this.#byId.set(clientId, session);
    if (session.kept) {
      this.#markRecentlyUsed(session);
      this.#context.rooms.sessions.add(identityId, oneEntry);
    }
    return session;
  }

  #markRecentlyUsed(session: Session): void {
    let kept = this.#keptByIdentity.get(session.identityId);
    if (kept === undefined) this.#keptByIdentity.set(session.identityId, (kept = new Set()));
    kept.delete(session);
    kept.add(session);
  }

  /**
   * Whether there is room for a stored session. If there is not, an offline session of the same identity can
   * end to make room.
   */
  hasRoomFor(identity: Identity, clientId: string): boolean {
    return (
      this.#byId.get(clientId)?.kept === true ||
      this.#hasRoom(identity) ||
      this.#leastRecentlyUsed(identity.id) !== undefined
    );
  }

  /** A role may allow more connections than an identity can have stored sessions: each may have one. */
  #hasRoom(identity: Identity): boolean {
    const { authorizer, limits, rooms } = this.#context;
    const { connectionsMax } = authorizer.limits(identity);
    return rooms.hasRoomForSession(
      identity.id,
      Math.max(limits.sessionsPerDeviceMax, connectionsMax),
    );
  }

  /**
   * Ends the least recently used offline session of an identity that has reached its limit: a device
   * that uses a new client id at each start must not fill the broker.
   */
  #evictIfFull(identity: Identity): void {
    const kept = this.#keptByIdentity.get(identity.id)?.size ?? 0;
    if (kept < this.#context.limits.sessionsPerDeviceMax && this.#hasRoom(identity)) return;
    const session = this.#leastRecentlyUsed(identity.id);
    if (session === undefined) return;
    const { messages } = this.#context.store.queueOf(session.clientId);
    if (messages > 0) session.dropped('session-evicted', messages);
    this.end(session);
  }

  #leastRecentlyUsed(identityId: string): Session | undefined {
    for (const session of this.#keptByIdentity.get(identityId) ?? []) {
      if (session.owner === undefined) return session;
    }
    return undefined;
  }

  #scheduleExpiry(session: Session, fromMs: number): void {
    if (session.expirySeconds === neverExpires) return;
    const leftMs = fromMs + session.expirySeconds * 1000 - this.#context.clock.now();
    session.cancelExpiry = this.#context.clock.after(Math.max(0, leftMs), () => {
      session.cancelExpiry = undefined;
      if (session.owner === undefined) this.end(session);
    });
  }

  #cancelExpiry(session: Session): void {
    session.cancelExpiry?.();
    session.cancelExpiry = undefined;
  }
}
