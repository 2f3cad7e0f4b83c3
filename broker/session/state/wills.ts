/**
 * The wills of all sessions: stored at CONNECT, published when the connection is lost, delayed if the
 * client asked for it, and recovered after a restart.
 *
 * @module
 */
import type { Cancel } from '../../../core/clock.ts';
import type { ErrorCode } from '../../../core/errors/catalogue.ts';
import type { Identity } from '../../contracts/identity.ts';
import type { StoredMessage, WillRecord } from '../../store/session-store.ts';
import { Message } from '../delivery/message.ts';
import { callHook } from '../plugins/hooks.ts';
import { emitterPacket } from '../plugins/plugin-receiver.ts';
import type { SessionContext } from './context.ts';
import type { Publisher } from './publisher.ts';
import { willAmount } from './rooms.ts';
import type { Session } from './session.ts';

/** The will of a CONNECT. */
export interface RequestedWill {
  readonly message: StoredMessage;
  readonly delaySeconds: number;
}

/** A recovered will whose session does not exist any more. */
interface WaitingWill {
  readonly will: WillRecord;
  readonly publish: () => void;
  readonly cancel: Cancel;
}

/** The reasons for closing a connection that end the identity's right to publish: no will is published. */
export const willSuppressingCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'certificate-revoked',
  'device-revoked',
  'device-suspended',
  'device-removed',
  'device-cloned',
  'device-overlapping',
]);

/** What becomes of a will when its connection is closed; `wait`: its client is expected back at once. */
export type WillFate = 'publish' | 'discard' | 'wait';

/**
 * After a restart, wills wait at least this long, in ms: the clients of a fleet that reconnects at once
 * were not lost.
 */
const recoveredWillMinMs = 5000;

export class Wills {
  /**
   * Set when the broker shuts down: wills stay in a durable store. After the restart they are published
   * unless their client has resumed its session (3.1.1, section 3.1.2.5 allows a server to defer them).
   * If the store is not durable, they are published during the shutdown.
   */
  shuttingDown = false;
  readonly #context: SessionContext;
  readonly #publisher: Publisher;
  /** Recovered wills whose session does not exist any more, by client id: they wait for their delay. */
  readonly #withoutSession = new Map<string, WaitingWill>();
  /** Their client ids by identity. */
  readonly #clientIdsOf = new Map<string, Set<string>>();

  constructor(context: SessionContext, publisher: Publisher) {
    this.#context = context;
    this.#publisher = publisher;
  }

  /** Stores the will of a CONNECT. A recovered will under this client id is published first. */
  set(session: Session, will: RequestedWill | undefined): void {
    this.#withoutSession.get(session.clientId)?.publish();
    if (session.will !== undefined) this.#count(session.will, -1);
    session.will = undefined;
    if (will === undefined) return;
    const record: WillRecord = {
      clientId: session.clientId,
      identityId: session.identityId,
      identityCreatedAtMs: session.identityCreatedAtMs,
      fingerprint: session.identity?.fingerprint,
      message: will.message,
      delaySeconds: will.delaySeconds,
      dueAtMs: undefined,
    };
    session.will = record;
    this.#count(record, 1);
    this.#context.store.putWill(record);
  }

  /**
   * The connection of a session is closed: publishes its will, delays it, or deletes it.
   *
   * @param fate `discard` after a DISCONNECT that discards the will, and if the identity may not publish any more;
   *   `wait` if the node that relayed the connection stops. A session that ends now cannot wait
   */
  onConnectionClosed(session: Session, fate: WillFate): void {
    const { will } = session;
    if (will === undefined || (this.shuttingDown && this.#context.store.durable)) return;
    const waits = fate === 'wait' && !this.shuttingDown;
    const delayMs = Math.max(waits ? recoveredWillMinMs : 0, will.delaySeconds * 1000);
    if (fate === 'discard') this.delete(session);
    else if (delayMs === 0 || session.expirySeconds === 0) this.#publish(session);
    else this.#delay(session, will, delayMs);
  }

  /** The client resumed its session before the delay was over: the will is deleted [MQTT-3.1.3-9]. */
  onSessionResumed(session: Session): void {
    if (session.cancelWill !== undefined) this.delete(session);
  }

  /** The session ends: a will that waits for its delay is published now [MQTT-3.1.3.2.2]. */
  onSessionEnded(session: Session): void {
    if (session.cancelWill !== undefined) this.#publish(session);
  }

  /** Deletes the will of a session without publishing it. */
  delete(session: Session): void {
    if (session.will === undefined) return;
    this.#count(session.will, -1);
    session.will = undefined;
    session.cancelWill?.();
    session.cancelWill = undefined;
    this.#context.store.deleteWill(session.clientId);
  }

  /** Takes a will from the store after a restart. `session` is undefined if it was not kept. */
  recover(will: WillRecord, session: Session | undefined, nowMs: number): void {
    const { clock, store } = this.#context;
    const delayMs =
      will.dueAtMs !== undefined
        ? will.dueAtMs - nowMs
        : 1000 * Math.min(will.delaySeconds, session?.expirySeconds ?? 0);
    const waitMs = Math.max(recoveredWillMinMs, delayMs);
    this.#count(will, 1);
    if (session !== undefined) {
      session.will = will;
      session.cancelWill = clock.after(waitMs, () => this.#publish(session));
      return;
    }
    const publish = (): void => {
      this.#withoutSession.get(will.clientId)?.cancel();
      const allowed = this.#mayPublish(will, undefined);
      if (allowed === undefined) return publishIn(recoveredWillMinMs);
      this.#forgetOne(will.clientId);
      store.deleteWill(will.clientId);
      if (allowed) this.#askPlugin(will.message, undefined);
    };
    const publishIn = (ms: number): void => {
      const { clientId, identityId } = will;
      this.#withoutSession.set(clientId, { will, publish, cancel: clock.after(ms, publish) });
      const clientIds = this.#clientIdsOf.get(identityId);
      if (clientIds === undefined) this.#clientIdsOf.set(identityId, new Set([clientId]));
      else clientIds.add(clientId);
    };
    publishIn(waitMs);
  }

  /** Deletes the wills of an identity that have no session, without publishing them. */
  forget(identityId: string): void {
    for (const clientId of [...(this.#clientIdsOf.get(identityId) ?? [])]) {
      this.#forgetOne(clientId);
      this.#context.store.deleteWill(clientId);
    }
  }

  /** Stops the timers of the wills that have no session. They stay in the store. */
  close(): void {
    for (const { cancel } of this.#withoutSession.values()) cancel();
    this.#withoutSession.clear();
    this.#clientIdsOf.clear();
  }

  #forgetOne(clientId: string): void {
    const waiting = this.#withoutSession.get(clientId);
    if (waiting === undefined) return;
    waiting.cancel();
    this.#withoutSession.delete(clientId);
    this.#count(waiting.will, -1);
    const { identityId } = waiting.will;
    const clientIds = this.#clientIdsOf.get(identityId);
    clientIds?.delete(clientId);
    if (clientIds?.size === 0) this.#clientIdsOf.delete(identityId);
  }

  /** Counts a will in the room of all wills. @param by 1, or -1 when it is gone */
  #count(will: WillRecord, by: 1 | -1): void {
    const room = this.#context.rooms.wills;
    if (by === 1) room.add(will.identityId, willAmount(will));
    else room.remove(will.identityId, willAmount(will));
  }

  #delay(session: Session, will: WillRecord, delayMs: number): void {
    const dueAtMs = this.#context.clock.now() + delayMs;
    const record = { ...will, dueAtMs };
    session.will = record;
    this.#context.store.putWill(record);
    session.cancelWill = this.#context.clock.after(delayMs, () => this.#publish(session));
  }

  #publish(session: Session): void {
    const { will } = session;
    if (will === undefined) return;
    const allowed = this.#mayPublish(will, session.identity);
    if (allowed === undefined) {
      session.cancelWill?.();
      session.cancelWill = this.#context.clock.after(recoveredWillMinMs, () =>
        this.#publish(session),
      );
      return;
    }
    this.delete(session);
    if (allowed) this.#askPlugin(will.message, session);
  }

  /**
   * Decides by the directory and the policy of now: the identity may have lost its right since it set the
   * will, also while the broker was down.
   *
   * @param last the identity of the session's last connection
   * @returns undefined if the broker does not know yet
   */
  #mayPublish(will: WillRecord, last: Identity | undefined): boolean | undefined {
    const { authorizer, events, rights } = this.#context;
    const { topic, qos, retain, payload } = will.message;
    const now = rights.of(will.identityId, last, will);
    if (now === 'unknown') return undefined;
    if ('code' in now) {
      events.willDiscarded?.(will.identityId, will.clientId, now.code);
      return false;
    }
    const verdict = authorizer.publish(now.identity, topic, qos, retain, payload.length);
    if (!verdict.allowed) events.denied(now.identity, 'publish', topic, verdict.code);
    return verdict.allowed;
  }

  /** A will passes the `authorizePublish` hook too, without a client: its connection is closed. */
  #askPlugin(stored: StoredMessage, session: Session | undefined): void {
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

  #send(stored: StoredMessage, session: Session | undefined): void {
    const nowMs = this.#context.clock.now();
    // The Message Expiry Interval of a will begins when it is published.
    const expiresAtMs =
      stored.expiresAtMs === undefined
        ? undefined
        : nowMs + stored.expiresAtMs - stored.createdAtMs;
    const message = Message.fromStored({ ...stored, createdAtMs: nowMs, expiresAtMs });
    this.#publisher.publish(message, this.#publisher.route(message.topic), session);
  }
}
