/**
 * Presence: for each identity one retained JSON message on `$fleet/presence/{id}` that says whether
 * and how it is connected. Refused connections are events on `$fleet/refused`.
 *
 * An identity is online while one of its connections is open. `version` increases with every event of the identity,
 * also across restarts, and gives the order of the events.
 *
 * A single event is published at once. Events in quick succession are collected for a short time and
 * published together, so that a reconnecting fleet causes one commit of the store instead of thousands.
 * Subscribers receive an event only when it is being written to the disk, so a crash loses only events
 * that no subscriber has seen. A new subscriber receives the current state.
 *
 * @module
 */
import type { Cancel, Clock } from '../../core/clock.ts';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import { SecondWindow } from '../../core/second-window.ts';
import type { BrokerMessage, Connection, SessionLayer } from '../contracts/session-layer.ts';
import { dayMs } from '../../core/config/duration.ts';

/** The message on `$fleet/presence/{id}`. */
export interface PresenceMessage {
  readonly id: string;
  readonly status: 'online' | 'offline';
  /** Why it disconnected: an error code, or `client-disconnected`. Absent while online. */
  readonly reason?: string;
  readonly clientId?: string;
  readonly address?: string;
  readonly tlsVersion?: string;
  /** The MQTT protocol version: 3, 4 or 5. */
  readonly protocolVersion?: number;
  readonly serial?: string;
  /** Whole days until the certificate expires; negative during the grace period. */
  readonly certificateDaysLeft?: number;
  readonly standing?: string;
  /** The name of the broker that the connection is, or was, at. */
  readonly broker: string;
  /** ISO 8601. */
  readonly at: string;
  readonly version: number;
}

/** The message on `$fleet/refused`. */
export interface RefusedMessage {
  /** Undefined when no trusted certificate was presented. */
  readonly id?: string;
  readonly code: ErrorCode;
  readonly address: string;
  readonly at: string;
  readonly version: number;
}

export interface PresenceDeps {
  readonly clock: Clock;
  /** The name of this broker. */
  readonly broker: string;
  /** Called when messages could not be published. */
  failed(topic: string | undefined, error: unknown): void;
  /** A function, because the session layer is created later. */
  layer(): Pick<SessionLayer, 'publish' | 'connectionsOf' | 'retained'>;
}

/** Maximum refusal events per second, so that an attacker cannot flood subscribers. */
const refusalsPerSecondMax = 100;
/** How long presence is collected after it was published, and the maximum number of messages. */
export const presenceCollectMs = 50;
export const presenceCollectedMax = 1000;

export class PresencePublisher {
  readonly #deps: PresenceDeps;
  #version = 0;
  /** The time of the last stamp, also as text: many events have the same time. */
  #stampedMs = -1;
  #stamped = '';
  readonly #refusals: SecondWindow;
  /** Presence messages that are not published yet, in order. */
  #collected: BrokerMessage[] = [];
  #cancelCollecting: Cancel | undefined;
  #published: Promise<void> = Promise.resolve();

  constructor(deps: PresenceDeps) {
    this.#deps = deps;
    this.#refusals = new SecondWindow(deps.clock);
  }

  /** A connection was accepted. */
  connected(connection: Connection): void {
    this.#publishPresence(this.#online(connection));
  }

  /**
   * A connection was closed. The identity stays online while another of its connections is open, or when a new
   * connection has taken the session over.
   *
   * @param other another open connection of the identity; undefined if there is none
   * @returns whether the identity is offline now
   */
  disconnected(
    connection: Connection,
    code: ErrorCode | undefined,
    other: Connection | undefined,
  ): boolean {
    const { identity, clientId } = connection;
    if (code === 'session-taken-over') return false;
    if (other !== undefined) {
      this.#publishPresence(this.#online(other));
      return false;
    }
    this.#publishPresence({
      id: identity.id,
      status: 'offline',
      reason: code ?? 'client-disconnected',
      ...(clientId === undefined ? {} : { clientId }),
      address: identity.remoteAddress,
      serial: identity.serial,
      broker: this.#deps.broker,
      ...this.#stamp(),
    });
    return true;
  }

  /** A connection was refused. */
  refused(id: string | undefined, code: ErrorCode, address: string): void {
    if (!this.#refusals.take(refusalsPerSecondMax)) return;
    const message: RefusedMessage = {
      ...(id === undefined ? {} : { id }),
      code,
      address,
      ...this.#stamp(),
    };
    this.event('$fleet/refused', message);
  }

  /** Deletes the retained presence of a deleted identity. */
  clear(id: string): void {
    this.#collect({
      topic: `$fleet/presence/${id}`,
      payload: Buffer.alloc(0),
      qos: 1,
      retain: true,
    });
  }

  /** A client subscribed: publishes the collected messages before the retained ones are read. */
  retainedRequested(filter: string): void {
    // A filter that starts with a wildcard does not match `$fleet/` [MQTT-4.7.2-1].
    if (this.#collected.length > 0 && filter.startsWith('$fleet/')) this.#publishCollected();
  }

  /** Publishes an event that is not retained. */
  event(topic: string, message: object): void {
    this.#publish([{ topic, payload: json(message), qos: 1, retain: false }]);
  }

  /**
   * Corrects presence after a crash: publishes that identities without a connection are offline.
   *
   * @param isOwn whether this broker decides about the presence of an identity; default: about all
   * @returns how many messages were corrected
   */
  async correct(isOwn: (id: string) => boolean = () => true): Promise<number> {
    const { broker } = this.#deps;
    const layer = this.#deps.layer();
    let corrected = 0;
    for await (const { topic, payload } of layer.retained('$fleet/presence/+')) {
      const id = topic.slice('$fleet/presence/'.length);
      if (!isOwn(id)) continue;
      const last = readPresence(payload);
      this.#version = Math.max(this.#version, last?.version ?? 0);
      const connected = layer.connectionsOf(id).some(({ clientId }) => clientId !== undefined);
      if (connected || last?.status !== 'online') continue;
      corrected++;
      this.#publishPresence({
        id,
        status: 'offline',
        reason: 'broker-restarted',
        ...(last.address === undefined ? {} : { address: last.address }),
        ...(last.serial === undefined ? {} : { serial: last.serial }),
        broker,
        ...this.#stamp(),
      });
    }
    // Published before the ports open, so that no subscriber receives outdated presence.
    this.#publishCollected();
    return corrected;
  }

  /** Publishes the collected messages. Resolves when all published messages are stored. */
  settled(): Promise<void> {
    this.#publishCollected();
    this.#cancelCollecting?.();
    this.#cancelCollecting = undefined;
    return this.#published;
  }

  #online({ identity, clientId = '', protocolVersion }: Connection): PresenceMessage {
    const { id, remoteAddress, tlsVersion, serial, notAfterMs, standing } = identity;
    const leftMs = notAfterMs - this.#deps.clock.now();
    return {
      id,
      status: 'online',
      clientId,
      address: remoteAddress,
      tlsVersion,
      ...(protocolVersion === undefined ? {} : { protocolVersion }),
      serial,
      certificateDaysLeft: Math.floor(leftMs / dayMs),
      standing,
      broker: this.#deps.broker,
      ...this.#stamp(),
    };
  }

  #stamp(): { at: string; version: number } {
    const nowMs = this.#deps.clock.now();
    // Milliseconds times 1000, to leave room for several events in one millisecond. This is greater than
    // every version of an earlier run.
    this.#version = Math.max(this.#version + 1, nowMs * 1000);
    if (nowMs !== this.#stampedMs) {
      this.#stampedMs = nowMs;
      this.#stamped = new Date(nowMs).toISOString();
    }
    return { at: this.#stamped, version: this.#version };
  }

  #publishPresence(message: PresenceMessage): void {
    const topic = `$fleet/presence/${message.id}`;
    this.#collect({ topic, payload: json(message), qos: 1, retain: true });
  }

  #collect(message: BrokerMessage): void {
    this.#collected.push(message);
    if (this.#cancelCollecting === undefined || this.#collected.length >= presenceCollectedMax) {
      this.#publishCollected();
    }
  }

  #publishCollected(): void {
    this.#cancelCollecting?.();
    this.#cancelCollecting = undefined;
    const messages = this.#collected;
    if (messages.length === 0) return;
    this.#collected = [];
    this.#cancelCollecting = this.#deps.clock.after(presenceCollectMs, () => {
      this.#cancelCollecting = undefined;
      this.#publishCollected();
    });
    this.#publish(messages);
  }

  #publish(messages: readonly BrokerMessage[]): void {
    const stored = this.#deps
      .layer()
      .publish(...messages)
      .catch((err: unknown) => {
        this.#deps.failed(messages[0]?.topic, err);
      });
    this.#published = Promise.all([this.#published, stored]).then(() => undefined);
  }
}

function json(message: object): Buffer {
  return Buffer.from(JSON.stringify(message));
}

/** What is read of a message of an earlier run. */
type StoredPresence = Pick<PresenceMessage, 'version' | 'address' | 'serial'> & {
  readonly status: string;
};

/** Reads a presence message of an earlier run; undefined when it is not valid. */
function readPresence(payload: Buffer): StoredPresence | undefined {
  try {
    const value: unknown = JSON.parse(payload.toString('utf8'));
    if (typeof value !== 'object' || value === null) return undefined;
    const { status, version, address, serial } = value as Record<string, unknown>;
    if (typeof status !== 'string' || typeof version !== 'number') return undefined;
    return {
      status,
      version: Number.isSafeInteger(version) ? version : 0,
      ...(typeof address === 'string' ? { address } : {}),
      ...(typeof serial === 'string' ? { serial } : {}),
    };
  } catch {
    return undefined;
  }
}
