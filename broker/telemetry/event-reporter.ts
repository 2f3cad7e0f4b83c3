/**
 * Reports the events of the listeners and of the session layer to the log, the metrics, the fleet
 * topics and the enrollment service.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import { visible } from '../../core/escape.ts';
import { reportedTextMaxChars } from '../../core/protocol/feed.ts';
import {
  isFlotillaError,
  messageOf,
  type FlotillaError,
} from '../../core/errors/flotilla-error.ts';
import type { Logger } from '../../core/log.ts';
import type { Refused } from '../admission/admission.ts';
import type { Finding } from '../admission/incident-detector.ts';
import type { Reaction } from '../admission/incident-holds.ts';
import type { IncidentResponse } from '../admission/incident-response.ts';
import type { Identity } from '../contracts/identity.ts';
import type { SessionEvents } from '../contracts/session-layer.ts';
import type { FeedReports } from '../feed/feed-reporter.ts';
import type { PresencePublisher } from '../fleet-topics/presence.ts';
import type { EntranceEvents } from '../listeners/entrance.ts';
import type { BrokerMetrics } from './broker-metrics.ts';
import type { RateLimitedLog } from './rate-limited-log.ts';

/** The client closed the connection during the handshake: counted, but not logged as a warning. */
const closedByClient: ReadonlySet<string> = new Set([
  'ECONNRESET',
  'EPIPE',
  'ERR_SSL_UNEXPECTED_EOF',
]);

export interface EventReporterDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** For lines that clients cause. */
  readonly limitedLog: RateLimitedLog;
  readonly metrics: BrokerMetrics;
  readonly presence: PresencePublisher;
  readonly feed: FeedReports;
  readonly incidents: Pick<IncidentResponse, 'connected'>;
  /** The store can no longer write. */
  storeFailed(error: FlotillaError): void;
}

export class EventReporter {
  readonly #deps: EventReporterDeps;
  readonly #limitedLog: RateLimitedLog;

  constructor(deps: EventReporterDeps) {
    this.#deps = deps;
    this.#limitedLog = deps.limitedLog;
  }

  /** The events of the session layer. */
  readonly session: SessionEvents = {
    connected: (connection, takesOver) => {
      const { metrics, log, presence, incidents } = this.#deps;
      const { identity, protocolVersion, clientId } = connection;
      const { id: device, remoteAddress } = identity;
      metrics.connectionsOpened.inc({ protocol: String(protocolVersion ?? 0) });
      log.debug({ device, clientId, remoteAddress }, 'connected');
      presence.connected(connection);
      this.#reportPresence(identity, true);
      incidents.connected(identity, takesOver);
    },
    disconnected: (connection, code, other) => {
      const { metrics, log, presence } = this.#deps;
      const { identity } = connection;
      const { id: device, remoteAddress } = identity;
      const reason = code ?? 'client-disconnected';
      metrics.connectionsClosed.inc({ reason });
      if (code === undefined) log.debug({ device }, 'disconnected');
      else {
        const fields = { device, clientId: connection.clientId, remoteAddress, code };
        this.#limitedLog.write('info', { device }, fields, 'connection closed');
      }
      const offline = presence.disconnected(connection, code, other);
      if (offline) this.#reportPresence(identity, false, reason);
    },
    retainedRequested: (filter) => this.#deps.presence.retainedRequested(filter),
    refused: (identity, code, detail) => {
      const { id, serial, remoteAddress } = identity;
      this.refused(remoteAddress, { id, serial, code, detail }, 'connect');
    },
    protocolViolated: (identity, code, detail) => {
      const { id, serial, remoteAddress } = identity;
      const shown = visible(detail, reportedTextMaxChars);
      const fields = { device: id, remoteAddress, code, detail: shown };
      this.#limitedLog.write('warn', { device: id }, fields, 'packet rejected');
      this.#deps.feed.refused({
        code,
        stage: 'packet',
        id,
        serial,
        address: remoteAddress,
        detail,
      });
    },
    denied: (identity, action, topic, code) => {
      const { metrics, feed, clock } = this.#deps;
      const { id, serial, remoteAddress } = identity;
      metrics.denied.inc({ action, reason: code });
      const fields = { device: id, remoteAddress, action, topic: topic.slice(0, 256), code };
      this.#limitedLog.write('info', { device: id }, fields, 'denied by policy');
      feed.denied(id, { atMs: clock.now(), action, topic, code });
      feed.refused({ code, stage: action, id, serial, address: remoteAddress, topic });
    },
    storeFailed: (error) => this.#deps.storeFailed(error),
    failed: ({ device, topic, filter }, err, message) => {
      const source = device === undefined ? 'broker' : { device };
      const fields = { device, topic: topic?.slice(0, 256), filter, err };
      this.#limitedLog.write('error', source, fields, message);
    },
    willDiscarded: (device, clientId, code) => {
      this.#limitedLog.write('info', { device }, { device, clientId, code }, 'will discarded');
    },
    dropped: (identity, reason, messages) => {
      const { id: device } = identity;
      this.#deps.metrics.dropped.inc({ reason }, messages);
      const fields = { device, reason, messages };
      this.#limitedLog.write('info', { device, isRepeated: true }, fields, 'messages dropped');
    },
  };

  /** The events of the TLS ports. */
  readonly listener: EntranceEvents = {
    handshake: (kind, durationMs) => {
      this.#deps.metrics.handshakes.inc({ kind });
      this.#deps.metrics.handshakeSeconds.observe({ kind }, durationMs / 1000);
    },
    handshakeFailed: (remoteAddress, code, detail) => {
      const { metrics, log, feed } = this.#deps;
      metrics.handshakesFailed.inc({ reason: code });
      const fields = { remoteAddress, code, detail };
      if (closedByClient.has(detail)) {
        log.debug(fields, 'TLS handshake failed');
        return;
      }
      const source = { address: remoteAddress };
      this.#limitedLog.write('warn', source, fields, 'TLS handshake failed');
      feed.refused({ code, stage: 'handshake', address: remoteAddress, detail });
    },
  };

  /**
   * A connection was refused.
   *
   * @param stage the TLS version, or `connect` when the TLS connection had been admitted before
   */
  refused(
    remoteAddress: string,
    { id, serial, code, detail }: Omit<Refused, 'admitted'>,
    stage: string,
  ): void {
    const { metrics, presence, feed, clock } = this.#deps;
    metrics.refused.inc({ reason: code });
    const shown = visible(detail, reportedTextMaxChars);
    const fields = { device: id, serial, remoteAddress, code, detail: shown, stage };
    const source = id === undefined ? { address: remoteAddress } : { device: id };
    this.#limitedLog.write('warn', source, fields, 'connection refused');
    presence.refused(id, code, remoteAddress);
    const device = id === undefined ? {} : { id };
    feed.refused({ code, stage: 'connect', ...device, serial, address: remoteAddress, detail });
    if (id === undefined) return;
    feed.denied(id, { atMs: clock.now(), action: 'connect', topic: detail, code });
  }

  /** Changed files could not be used; the previous ones stay in force. */
  reloadFailed(what: string, error: unknown): void {
    const { metrics, log, feed } = this.#deps;
    const code = isFlotillaError(error) ? error.code : 'internal';
    const detail = (isFlotillaError(error) ? error.detail : undefined) ?? messageOf(error);
    metrics.reloads.inc({ what, outcome: 'failed', reason: code });
    log.error({ what, code, err: error }, 'reload failed, the previous files stay in force');
    feed.refused({ code, stage: 'reload', detail: `${what}: ${detail}` });
  }

  /** A clone, an overlap or a flapping device was detected. */
  incident(identity: Identity, { kind, addresses }: Finding, reaction: Reaction | 'log'): void {
    const { metrics, presence, feed, clock } = this.#deps;
    const { id, serial } = identity;
    const atMs = clock.now();
    metrics.incidents.inc({ kind });
    const fields = { device: id, kind, addresses, serial, reaction };
    this.#limitedLog.write('warn', { device: id }, fields, 'incident');
    const event = { id, kind, serial, addresses, reaction, at: new Date(atMs).toISOString() };
    presence.event('$fleet/incidents', event);
    feed.incident({ id, kind, atMs, serial, addresses: [...addresses], reaction });
  }

  #reportPresence(identity: Identity, connected: boolean, reason?: string): void {
    this.#deps.feed.presence({
      id: identity.id,
      connected,
      atMs: this.#deps.clock.now(),
      serial: identity.serial,
      remoteAddress: identity.remoteAddress.slice(0, 64),
      ...(reason === undefined ? {} : { reason }),
    });
  }
}
