/**
 * What the doors and the session layer tell, passed on to everybody who wants to know: log, metrics,
 * presence, and the enrollment service.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import { visible } from '../../core/escape.ts';
import { reportedTextMaxChars } from '../../core/protocol/feed.ts';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import {
  isFlotillaError,
  messageOf,
  type FlotillaError,
} from '../../core/errors/flotilla-error.ts';
import type { Logger } from '../../core/log.ts';
import type { FeedReports } from '../feed/feed-client.ts';
import type { Refused } from '../admission/admission.ts';
import type { Identity } from '../contracts/identity.ts';
import type { ListenerEvents } from '../listeners/tls-listener.ts';
import type { Finding, IncidentDetector } from '../admission/incident-detector.ts';
import { RateLimitedLog } from './rate-limited-log.ts';
import type { Reaction } from '../admission/incident-holds.ts';
import type { BrokerMetrics } from './broker-metrics.ts';
import type { PresencePublisher } from '../fleet-topics/presence.ts';
import type { SessionEvents } from '../contracts/session-layer.ts';

/** Log lines a second for one identity or address. */
const linesPerSecond = 10;

/** The client hung up in the middle of a handshake: no news, though it is counted. */
const hungUp: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'ERR_SSL_UNEXPECTED_EOF']);

/** Why an identity is held that was found so. */
const incidentCodes = {
  clone: 'device-cloned',
  overlap: 'device-overlapping',
  flapping: 'device-flapping',
} as const satisfies Record<Finding['kind'], ErrorCode>;

export interface EventReporterDeps {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: BrokerMetrics;
  readonly incidents: IncidentDetector;
  /** The store cannot write any more. */
  storeFailed(error: FlotillaError): void;
  /** Restrains an identity at once. */
  restrain(id: string, reaction: Reaction, code: ErrorCode): void;
}

export class EventReporter {
  readonly #deps: EventReporterDeps;
  readonly #quiet: RateLimitedLog;
  #presence: PresencePublisher | undefined;
  #feed: FeedReports | undefined;

  constructor(deps: EventReporterDeps) {
    this.#deps = deps;
    this.#quiet = new RateLimitedLog(deps.log, deps.clock, linesPerSecond);
  }

  /** Names those that exist only once the session layer does. */
  use(presence: PresencePublisher, feed: FeedReports): void {
    this.#presence = presence;
    this.#feed = feed;
  }

  readonly session: SessionEvents = {
    connected: (connection) => {
      const { identity, protocolVersion, clientId } = connection;
      this.#deps.metrics.connectionsOpened.inc({ protocol: String(protocolVersion ?? 0) });
      const facts = { id: identity.id, clientId, address: identity.remoteAddress };
      this.#deps.log.debug(facts, 'connected');
      this.#presence?.connected(connection);
      this.#tellPresence(identity, true);
      const finding = this.#deps.incidents.connected(identity);
      if (finding !== undefined) this.incident(identity, finding);
    },
    disconnected: (connection, code) => {
      const { identity } = connection;
      const { id } = identity;
      const reason = code ?? 'client-disconnected';
      this.#deps.metrics.connectionsClosed.inc({ reason });
      if (code === undefined) this.#deps.log.debug({ id }, 'disconnected');
      else this.#quiet.write('info', id, { id, reason }, 'connection ended');
      const offline = this.#presence?.disconnected(connection, code) === true;
      if (offline) this.#tellPresence(identity, false, reason);
      if (code === 'session-taken-over') this.#deps.incidents.takenOver(identity);
    },
    retainedRequested: (filter) => this.#presence?.asked(filter),
    refused: (identity, code, detail) => {
      const { id, serial, remoteAddress } = identity;
      this.#refused(remoteAddress, { id, serial, code, detail }, 'connect');
    },
    protocolViolated: (identity, code, detail) => {
      const { id, serial, remoteAddress: address } = identity;
      const facts = { id, address, reason: code, detail: visible(detail, reportedTextMaxChars) };
      this.#quiet.write('info', `faulted ${id}`, facts, 'packet refused');
      this.#feed?.refused({ code, stage: 'packet', id, serial, address, detail });
    },
    denied: (identity, action, topic, code) => {
      const { id, serial, remoteAddress: address } = identity;
      this.#deps.metrics.denied.inc({ action, reason: code });
      const facts = { id, address, action, topic: topic.slice(0, 256), reason: code };
      this.#quiet.write('info', `denied ${id}`, facts, 'denied');
      this.#feed?.denied(id, { atMs: this.#deps.clock.now(), action, topic, code });
      this.#feed?.refused({ code, stage: action, id, serial, address, topic });
    },
    storeFailed: (error) => this.#deps.storeFailed(error),
    dropped: (identity, reason, messages) => {
      const { id } = identity;
      this.#deps.metrics.dropped.inc({ reason }, messages);
      this.#quiet.write('info', `dropped ${id}`, { id, reason, messages }, 'dropped');
    },
  };

  readonly door: ListenerEvents = {
    handshake: (kind, durationMs) => {
      this.#deps.metrics.handshakes.inc({ kind });
      this.#deps.metrics.handshakeSeconds.observe({ kind }, durationMs / 1000);
    },
    handshakeFailed: (address, code, detail) => {
      this.#deps.metrics.handshakesFailed.inc({ reason: code });
      const facts = { address, reason: code, detail };
      if (hungUp.has(detail)) {
        this.#deps.log.debug(facts, 'handshake failed');
        return;
      }
      this.#quiet.write('warn', `handshake ${address} ${code}`, facts, 'handshake failed');
      this.#feed?.refused({ code, stage: 'handshake', address, detail });
    },
    refused: (address, refusal, { version, resumed }) => {
      this.#refused(address, refusal, resumed ? `${version} resumed` : version);
    },
  };

  /** A file was not taken over: what was in force stays. */
  reloadRefused(what: string, error: unknown): void {
    const code = isFlotillaError(error) ? error.code : 'internal';
    const detail = (isFlotillaError(error) ? error.detail : undefined) ?? messageOf(error);
    this.#deps.metrics.reloads.inc({ what, outcome: 'failed', reason: code });
    const facts = { what, reason: code, error: messageOf(error) };
    this.#deps.log.error(facts, 'reload failed, the old one stays');
    this.#feed?.refused({ code, stage: 'reload', detail: `${what}: ${detail}` });
  }

  /** A clone, an overlap or a flapping device was found: told, and answered as configured. */
  incident(identity: Identity, { kind, addresses }: Finding): void {
    const { broker } = this.#deps.config;
    const reaction = broker[`${kind}Reaction`];
    const { id, serial } = identity;
    const atMs = this.#deps.clock.now();
    this.#deps.metrics.incidents.inc({ kind });
    this.#deps.log.warn({ id, kind, addresses, serial, reaction }, 'incident');
    const event = { id, kind, serial, addresses, reaction, at: new Date(atMs).toISOString() };
    this.#presence?.event('$fleet/incidents', event);
    this.#feed?.incident({ id, kind, atMs, serial, addresses: [...addresses], reaction });
    if (reaction !== 'log') this.#deps.restrain(id, reaction, incidentCodes[kind]);
  }

  /** A connection was refused at some stage. */
  #refused(
    address: string,
    { id, serial, code, detail: said }: Omit<Refused, 'admitted'>,
    stage: string,
  ): void {
    this.#deps.metrics.refused.inc({ reason: code });
    const detail = visible(said, reportedTextMaxChars);
    const facts = { id, serial, address, reason: code, detail, stage };
    this.#quiet.write('warn', `refused ${address} ${code}`, facts, 'refused');
    this.#presence?.refused(id, code, address);
    this.#feed?.refused({
      code,
      stage: 'connect',
      ...(id === undefined ? {} : { id }),
      serial,
      address,
      detail: said,
    });
    if (id === undefined) return;
    const atMs = this.#deps.clock.now();
    this.#feed?.denied(id, { atMs, action: 'connect', topic: said, code });
  }

  #tellPresence(identity: Identity, connected: boolean, reason?: string): void {
    this.#feed?.presence({
      id: identity.id,
      connected,
      atMs: this.#deps.clock.now(),
      serial: identity.serial,
      remoteAddress: identity.remoteAddress.slice(0, 64),
      ...(reason === undefined ? {} : { reason }),
    });
  }
}
