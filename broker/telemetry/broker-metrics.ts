/**
 * The counters and histograms that the broker updates when events occur. Gauges are in
 * gauge-metrics.ts. examples/alerts.yaml and examples/grafana-dashboard.json use these names; a test
 * compares them.
 *
 * @module
 */
import { Counter, Histogram, Registry } from 'prom-client';
import type { DropReason } from '../session/delivery/outbound-context.ts';
import { brokerErrors } from '../../core/errors/broker-errors.ts';

/** A table, so that the compiler reports a reason that is missing here. */
const dropReasons: Readonly<Record<DropReason, true>> = {
  'queue-full': true,
  'store-full': true,
  expired: true,
  'too-large': true,
  'outbound-full': true,
  'not-allowed': true,
  'retained-full': true,
  'retained-share-full': true,
  'session-evicted': true,
};

/** All metrics are in a registry of their own, so that one process can run several brokers. */
export class BrokerMetrics {
  readonly registry = new Registry();
  readonly connectionsOpened = this.#counter(
    'flotilla_connections_opened_total',
    'Connections whose CONNECT was accepted.',
    ['protocol'],
  );
  readonly connectionsClosed = this.#counter(
    'flotilla_connections_closed_total',
    'Closed connections, by reason.',
    ['reason'],
  );
  readonly refused = this.#counter(
    'flotilla_connections_refused_total',
    'Refused connections, by reason.',
    ['reason'],
  );
  readonly denied = this.#counter(
    'flotilla_policy_denied_total',
    'Actions that the policy denied.',
    ['action', 'reason'],
  );
  readonly dropped = this.#counter(
    'flotilla_messages_dropped_total',
    'Messages that were dropped because of a limit.',
    ['reason'],
  );
  readonly handshakes = this.#counter(
    'flotilla_tls_handshakes_total',
    'Completed TLS handshakes.',
    ['kind'],
  );
  readonly handshakesFailed = this.#counter(
    'flotilla_tls_handshakes_failed_total',
    'TLS handshakes that failed or were not started.',
    ['reason'],
  );
  readonly incidents = this.#counter(
    'flotilla_incidents_total',
    'Detected clones, overlapping connections and flapping devices.',
    ['kind'],
  );
  readonly reloads = this.#counter(
    'flotilla_reloads_total',
    'Reloads of certificates and of the policy.',
    ['what', 'outcome', 'reason'],
  );
  readonly handshakeSeconds = new Histogram({
    name: 'flotilla_tls_handshake_duration_seconds',
    help: 'Time from the start to the end of a TLS handshake.',
    labelNames: ['kind'] as const,
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [this.registry],
  });
  readonly liveEffectSeconds = new Histogram({
    name: 'flotilla_live_effect_duration_seconds',
    help: 'Time to apply a change of the directory or the policy to the live connections.',
    buckets: [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1],
    registers: [this.registry],
  });
  readonly journalAppendSeconds = new Histogram({
    name: 'flotilla_journal_append_duration_seconds',
    help: 'Time until a row of the journal is durable in the database.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers: [this.registry],
  });
  readonly eventLoopLag = new Histogram({
    name: 'flotilla_event_loop_lag_seconds',
    help: 'Delay of a timer of the event loop.',
    buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1],
    registers: [this.registry],
  });

  /**
   * Every series that an alert may need starts at 0: `increase()` sees nothing when a series begins with its
   * first event.
   */
  constructor() {
    for (const kind of ['clone', 'overlap', 'flapping']) this.incidents.inc({ kind }, 0);
    for (const reason of Object.keys(dropReasons)) this.dropped.inc({ reason }, 0);
    for (const kind of ['full', 'resumed']) this.handshakes.inc({ kind }, 0);
    for (const protocol of ['3', '4', '5']) this.connectionsOpened.inc({ protocol }, 0);
    for (const what of ['certificates', 'policy']) this.reloads.inc({ what, outcome: 'done' }, 0);
    for (const reason of Object.keys(brokerErrors)) {
      this.refused.inc({ reason }, 0);
      this.connectionsClosed.inc({ reason }, 0);
      this.handshakesFailed.inc({ reason }, 0);
    }
    this.connectionsClosed.inc({ reason: 'client-disconnected' }, 0);
    this.denied.inc({ action: 'publish', reason: 'publish-denied' }, 0);
    this.denied.inc({ action: 'subscribe', reason: 'subscribe-denied' }, 0);
  }

  #counter<L extends string>(name: string, help: string, labelNames: readonly L[]): Counter<L> {
    return new Counter({ name, help, labelNames: [...labelNames], registers: [this.registry] });
  }
}
