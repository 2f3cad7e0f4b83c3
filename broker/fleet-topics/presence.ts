/**
 * Presence: for each identity one retained JSON message on `$fleet/presence/{id}` that tells whether
 * it is connected, and how; refused connections are events on `$fleet/refused`.
 *
 * An identity is online while one of its connections is. `version` grows with every event of this
 * broker, through restarts too, and orders them.
 *
 * An event that comes alone is published at once. Those that come close behind one another are
 * gathered for a moment and published together: when a fleet comes back they are one commit of the
 * store and not thousands. Nobody sees an event before it is on its way to the disk, so what a crash
 * takes of them nobody has seen; and whoever subscribes finds what is true at that moment.
 *
 * @module
 */
import type { Logger } from '../../core/log.ts';
import type { Cancel, Clock } from '../../core/clock.ts';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import { messageOf } from '../../core/errors/flotilla-error.ts';
import { SecondWindow } from '../../core/second-window.ts';
import type { Connection, BrokerMessage, SessionLayer } from '../contracts/session-layer.ts';
import { dayMs } from '../../core/config/duration.ts';

/** What stands on `$fleet/presence/{id}`. */
export interface PresenceMessage {
  readonly id: string;
  readonly status: 'online' | 'offline';
  /** Why it went: a code of the catalogue, or `client-disconnected`. Absent while online. */
  readonly reason?: string;
  readonly clientId?: string;
  readonly address?: string;
  readonly tlsVersion?: string;
  /** MQTT: 3, 4 or 5. */
  readonly protocolVersion?: number;
  readonly serial?: string;
  /** Whole days until the certificate ends; negative inside the grace period. */
  readonly certificateDaysLeft?: number;
  readonly standing?: string;
  /** ISO 8601. */
  readonly at: string;
  readonly version: number;
}

/** What stands on `$fleet/refused`. */
export interface RefusedMessage {
  /** Undefined when the certificate named nobody that can be believed. */
  readonly id?: string;
  readonly code: ErrorCode;
  readonly address: string;
  readonly at: string;
  readonly version: number;
}

export interface PresenceDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly layer: Pick<SessionLayer, 'publish' | 'connectionsOf' | 'retained'>;
}

/** At most so many refusals become events each second: an attacker must not flood subscribers. */
const refusalsPerSecondMax = 100;
/** For how long presence is gathered after it was published, and how much of it at most. */
export const presenceGatherMs = 50;
export const presenceGatheredMax = 1000;

export class PresencePublisher {
  readonly #deps: PresenceDeps;
  #version = 0;
  /** The moment of the last stamp, and how it is written: many fall into one. */
  #stampedMs = -1;
  #stamped = '';
  readonly #refusals: SecondWindow;
  /** Presence that waits for the end of the moment, in its order. */
  #gathered: BrokerMessage[] = [];
  #moment: Cancel | undefined;
  #last: Promise<void> = Promise.resolve();

  constructor(deps: PresenceDeps) {
    this.#deps = deps;
    this.#refusals = new SecondWindow(deps.clock);
  }

  /** A connection was accepted. */
  connected(connection: Connection): void {
    this.#publishPresence(this.#online(connection));
  }

  /**
   * A connection ended. While another one of the identity lives, or took its session over and is
   * about to be announced, it stays online.
   *
   * @returns whether the identity is offline now
   */
  disconnected(connection: Connection, code: ErrorCode | undefined): boolean {
    const { identity, clientId } = connection;
    if (code === 'session-taken-over') return false;
    const other = this.#deps.layer
      .connectionsOf(identity.id)
      .find((one) => one !== connection && one.clientId !== undefined);
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

  /** Takes away what is retained of an identity that is no more. */
  clear(id: string): void {
    this.#gather({
      topic: `$fleet/presence/${id}`,
      payload: Buffer.alloc(0),
      qos: 1,
      retain: true,
    });
  }

  /** Somebody subscribed: what is gathered is retained before it is read. */
  asked(filter: string): void {
    // A filter that begins with a wildcard matches no topic of ours [MQTT-4.7.2-1].
    if (this.#gathered.length > 0 && filter.startsWith('$fleet/')) this.#publishGathered();
  }

  /** Publishes an event that is not retained. */
  event(topic: string, message: object): void {
    this.#publish([{ topic, payload: json(message), qos: 1, retain: false }]);
  }

  /**
   * Makes presence true again after a crash: whoever was left as online and is not here is offline.
   *
   * @returns how many were corrected
   */
  async correct(): Promise<number> {
    const { layer } = this.#deps;
    let corrected = 0;
    for await (const { topic, payload } of layer.retained('$fleet/presence/+')) {
      const id = topic.slice('$fleet/presence/'.length);
      const last = readPresence(payload);
      this.#version = Math.max(this.#version, last?.version ?? 0);
      const here = layer.connectionsOf(id).some(({ clientId }) => clientId !== undefined);
      if (here || last?.status !== 'online') continue;
      corrected++;
      this.#publishPresence({
        id,
        status: 'offline',
        reason: 'broker-restarted',
        ...(last.address === undefined ? {} : { address: last.address }),
        ...(last.serial === undefined ? {} : { serial: last.serial }),
        ...this.#stamp(),
      });
    }
    // Nobody may come in and see what is not true.
    this.#publishGathered();
    return corrected;
  }

  /** Publishes what was gathered; resolves when all that was published is stored. */
  settled(): Promise<void> {
    this.#publishGathered();
    this.#moment?.();
    this.#moment = undefined;
    return this.#last;
  }

  #online(connection: Connection): PresenceMessage {
    const { identity, clientId, protocolVersion } = connection;
    const leftMs = identity.notAfterMs - this.#deps.clock.now();
    return {
      id: identity.id,
      status: 'online',
      ...(clientId === undefined ? {} : { clientId }),
      address: identity.remoteAddress,
      tlsVersion: identity.tlsVersion,
      ...(protocolVersion === undefined ? {} : { protocolVersion }),
      serial: identity.serial,
      certificateDaysLeft: Math.floor(leftMs / dayMs),
      standing: identity.standing,
      ...this.#stamp(),
    };
  }

  #stamp(): { at: string; version: number } {
    const nowMs = this.#deps.clock.now();
    // Milliseconds, times 1000 for those inside one: later than every version of an earlier run.
    this.#version = Math.max(this.#version + 1, nowMs * 1000);
    if (nowMs !== this.#stampedMs) {
      this.#stampedMs = nowMs;
      this.#stamped = new Date(nowMs).toISOString();
    }
    return { at: this.#stamped, version: this.#version };
  }

  #publishPresence(message: PresenceMessage): void {
    const topic = `$fleet/presence/${message.id}`;
    this.#gather({ topic, payload: json(message), qos: 1, retain: true });
  }

  #gather(message: BrokerMessage): void {
    this.#gathered.push(message);
    if (this.#moment === undefined || this.#gathered.length >= presenceGatheredMax) {
      this.#publishGathered();
    }
  }

  #publishGathered(): void {
    this.#moment?.();
    this.#moment = undefined;
    const messages = this.#gathered;
    if (messages.length === 0) return;
    this.#gathered = [];
    this.#moment = this.#deps.clock.after(presenceGatherMs, () => {
      this.#moment = undefined;
      this.#publishGathered();
    });
    this.#publish(messages);
  }

  #publish(messages: readonly BrokerMessage[]): void {
    const done = this.#deps.layer.publish(...messages).catch((error: unknown) => {
      const topic = messages[0]?.topic;
      this.#deps.log.error({ topic, error: messageOf(error) }, 'event not published');
    });
    this.#last = Promise.all([this.#last, done]).then(() => undefined);
  }
}

function json(message: object): Buffer {
  return Buffer.from(JSON.stringify(message));
}

/** What an earlier run left, as far as it can be believed. */
function readPresence(
  payload: Buffer,
): { status: string; version: number; address?: string; serial?: string } | undefined {
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
