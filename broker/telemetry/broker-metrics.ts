/**
 * The metrics of a broker, by the names under which Prometheus finds them. examples/alerts.yaml and
 * examples/grafana-dashboard.json use them; a test holds these against each other.
 *
 * @module
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { SessionStatistics } from '../contracts/session-layer.ts';

/** What is asked at each scrape. */
export interface Gauges {
  readonly connections: number;
  readonly handshakesHalfOpen: number;
  readonly handshakesWaiting: number;
  readonly handshakesAbandoned: number;
  readonly directoryEntries: number;
  readonly directorySequence: number;
  readonly feedConnected: boolean;
  readonly serverCertificateNotAfterMs: number;
  readonly authorityNotAfterMs: number;
  readonly reloadFailed: boolean;
  readonly nowMs: number;
  /** Days that the certificates of the fleet have left, one number a certificate in use. */
  fleetDaysLeft(): Iterable<number>;
  readonly deniedByRule: ReadonlyMap<string, number>;
  statistics(): SessionStatistics;
}

const secondMs = 1000;
/** Upper bounds in days; what is below 0 has expired. */
export const fleetDaysBuckets = [0, 1, 3, 7, 14, 30, 60, 90, 180, 365];

/** All metrics in a registry of their own, so that two brokers can live in one process. */
export class BrokerMetrics {
  readonly registry = new Registry();
  readonly connectionsOpened = this.#counter(
    'flotilla_connections_opened_total',
    'Connections accepted by CONNECT.',
    ['protocol'],
  );
  readonly connectionsClosed = this.#counter(
    'flotilla_connections_closed_total',
    'Connections ended, by reason.',
    ['reason'],
  );
  readonly refused = this.#counter(
    'flotilla_connections_refused_total',
    'Connections refused, by reason.',
    ['reason'],
  );
  readonly denied = this.#counter('flotilla_policy_denied_total', 'Actions denied by the policy.', [
    'action',
    'reason',
  ]);
  readonly dropped = this.#counter(
    'flotilla_messages_dropped_total',
    'Messages thrown away by a limit.',
    ['reason'],
  );
  readonly handshakes = this.#counter('flotilla_tls_handshakes_total', 'TLS handshakes done.', [
    'kind',
  ]);
  readonly handshakesFailed = this.#counter(
    'flotilla_tls_handshakes_failed_total',
    'TLS handshakes that failed or were not begun.',
    ['reason'],
  );
  readonly incidents = this.#counter(
    'flotilla_incidents_total',
    'Clones, overlapping connections and flapping devices found.',
    ['kind'],
  );
  readonly reloads = this.#counter(
    'flotilla_reloads_total',
    'Certificates and policies taken over while running.',
    ['what', 'outcome', 'reason'],
  );
  readonly handshakeSeconds = new Histogram({
    name: 'flotilla_tls_handshake_duration_seconds',
    help: 'From the first turn to the end of a TLS handshake.',
    labelNames: ['kind'] as const,
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [this.registry],
  });
  readonly liveEffectSeconds = new Histogram({
    name: 'flotilla_live_effect_duration_seconds',
    help: 'From the arrival of a change to the end of its effect on live connections.',
    buckets: [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1],
    registers: [this.registry],
  });
  readonly eventLoopLag = new Histogram({
    name: 'flotilla_event_loop_lag_seconds',
    help: 'How late a timer of the event loop fires.',
    buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1],
    registers: [this.registry],
  });

  constructor(read: () => Gauges) {
    const gauge = (name: string, help: string, value: (gauges: Gauges) => number): void => {
      new Gauge({
        name,
        help,
        registers: [this.registry],
        collect() {
          this.set(value(read()));
        },
      });
    };
    gauge(
      'flotilla_connections',
      'Connections that live, those before CONNECT included.',
      (g) => g.connections,
    );
    gauge(
      'flotilla_tls_handshakes_half_open',
      'Accepted connections without a finished handshake.',
      (g) => g.handshakesHalfOpen,
    );
    gauge(
      'flotilla_tls_handshakes_waiting',
      'Connections that wait for their turn to begin a handshake.',
      (g) => g.handshakesWaiting,
    );
    gauge('flotilla_directory_entries', 'Identities in the directory.', (g) => g.directoryEntries);
    gauge(
      'flotilla_directory_sequence',
      'Last change of the directory that is in force.',
      (g) => g.directorySequence,
    );
    gauge(
      'flotilla_feed_connected',
      '1 while the feed of the enrollment service is followed.',
      (g) => (g.feedConnected ? 1 : 0),
    );
    gauge(
      'flotilla_reload_failed',
      '1 when the newest certificate or policy files could not be used.',
      (g) => (g.reloadFailed ? 1 : 0),
    );
    gauge(
      'flotilla_server_certificate_expires_in_seconds',
      "Until the broker's own certificate ends.",
      (g) => (g.serverCertificateNotAfterMs - g.nowMs) / secondMs,
    );
    gauge(
      'flotilla_authority_expires_in_seconds',
      'Until the first of the CA certificates ends.',
      (g) => (g.authorityNotAfterMs - g.nowMs) / secondMs,
    );
    gauge(
      'flotilla_sessions',
      'Sessions, those without a connection included.',
      (g) => g.statistics().sessions,
    );
    gauge(
      'flotilla_subscriptions',
      'Subscriptions of all sessions.',
      (g) => g.statistics().subscriptions,
    );
    gauge('flotilla_retained_messages', 'Retained messages.', (g) => g.statistics().retained);
    gauge(
      'flotilla_queued_messages',
      'Messages that wait for a client.',
      (g) => g.statistics().queuedMessages,
    );
    gauge(
      'flotilla_queued_bytes',
      'Bytes of the messages that wait for a client.',
      (g) => g.statistics().queuedBytes,
    );
    this.#totals(read);
    this.#fleet(read);
  }

  /** Counters that the session layer keeps as plain numbers. */
  #totals(read: () => Gauges): void {
    const total = (
      name: string,
      help: string,
      labelNames: readonly string[],
      values: (gauges: Gauges) => readonly { labels: Record<string, string>; value: number }[],
    ): void => {
      new Counter({
        name,
        help,
        labelNames: [...labelNames],
        registers: [this.registry],
        collect() {
          this.reset();
          for (const { labels, value } of values(read())) this.inc(labels, value);
        },
      });
    };
    const byQos = (counts: readonly number[]): { labels: { qos: string }; value: number }[] =>
      counts.map((value, qos) => ({ labels: { qos: String(qos) }, value }));
    const one = (value: number): { labels: Record<string, string>; value: number }[] => [
      { labels: {}, value },
    ];
    total('flotilla_messages_received_total', 'PUBLISH packets from clients.', ['qos'], (g) =>
      byQos(g.statistics().messagesIn),
    );
    total('flotilla_messages_sent_total', 'PUBLISH packets to clients.', ['qos'], (g) =>
      byQos(g.statistics().messagesOut),
    );
    total('flotilla_received_bytes_total', 'Bytes of MQTT from clients.', [], (g) =>
      one(g.statistics().bytesIn),
    );
    total('flotilla_sent_bytes_total', 'Bytes of MQTT to clients.', [], (g) =>
      one(g.statistics().bytesOut),
    );
    total('flotilla_store_commits_total', 'Commits of the store.', [], (g) =>
      one(g.statistics().storeCommits),
    );
    total('flotilla_store_commit_seconds_total', 'Time that commits of the store took.', [], (g) =>
      one(g.statistics().storeCommitMs / secondMs),
    );
    total(
      'flotilla_policy_denied_by_rule_total',
      'Denials, by the rule that denied.',
      ['rule'],
      (g) => [...g.deniedByRule].map(([rule, value]) => ({ labels: { rule }, value })),
    );
    total(
      'flotilla_tls_handshakes_abandoned_total',
      'Handshakes not begun because the client had gone.',
      [],
      (g) => one(g.handshakesAbandoned),
    );
  }

  /** A histogram of a state, not of events: made anew at each scrape. */
  #fleet(read: () => Gauges): void {
    new Histogram({
      name: 'flotilla_fleet_certificate_days_left',
      help: 'Days left of the newest certificate of each identity.',
      buckets: fleetDaysBuckets,
      registers: [this.registry],
      collect() {
        this.reset();
        for (const days of read().fleetDaysLeft()) this.observe(days);
      },
    });
  }

  #counter<L extends string>(name: string, help: string, labelNames: readonly L[]): Counter<L> {
    return new Counter({ name, help, labelNames: [...labelNames], registers: [this.registry] });
  }
}
