/**
 * The metrics whose values are read from the parts of the broker at each scrape.
 *
 * @module
 */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { JournalFacts } from '../journal/journal-thread.ts';
import type { FrontLoad } from '../contracts/front-load.ts';
import type { SessionStatistics } from '../contracts/session-layer.ts';
import { registerClusterGauges, type ClusterFacts } from './cluster-gauges.ts';

/** The values of one scrape. */
export interface Gauges {
  readonly connections: number;
  readonly handshakesHalfOpen: number;
  readonly handshakesWaiting: number;
  readonly handshakesAbandoned: number;
  readonly directoryEntries: number;
  readonly directorySequence: number;
  readonly feedConnected: boolean;
  /** Whether this broker knows more than the registry, which was restored. */
  readonly registryBehind: boolean;
  readonly serverCertificateNotAfterMs: number;
  readonly authorityNotAfterMs: number;
  readonly reloadFailed: boolean;
  /** The journals in the database: one, or one for each partition that this broker holds. */
  readonly journals: readonly JournalFacts[];
  /** Undefined: the broker works alone. */
  readonly cluster: ClusterFacts | undefined;
  readonly nowMs: number;
  /** Time until the newest certificate of each identity expires, in ms. */
  fleetLeftMs(): Iterable<number>;
  readonly deniedByRule: ReadonlyMap<string, number>;
  readonly fronts: readonly FrontLoad[];
  readonly frontRestarts: number;
  statistics(): SessionStatistics;
}

type Sample = { readonly labels: Readonly<Record<string, string>>; readonly value: number };

/** Upper bounds in seconds. Certificates below 0 have expired. */
export const fleetLeftBuckets = [0, 1, 3, 7, 14, 30, 60, 90, 180, 365].map((days) => days * 86_400);

const secondMs = 1000;

/** Name, help text and value of each gauge. */
const gaugeTable: readonly (readonly [string, string, (gauges: Gauges) => number])[] = [
  [
    'flotilla_connections',
    'Open connections, including those that have not sent CONNECT.',
    (g) => g.connections,
  ],
  [
    'flotilla_tls_handshakes_half_open',
    'Accepted connections whose TLS handshake is not complete.',
    (g) => g.handshakesHalfOpen,
  ],
  [
    'flotilla_tls_handshakes_waiting',
    'Connections that wait to start their TLS handshake.',
    (g) => g.handshakesWaiting,
  ],
  ['flotilla_directory_entries', 'Identities in the directory.', (g) => g.directoryEntries],
  [
    'flotilla_directory_sequence',
    'Sequence number of the last directory change in force.',
    (g) => g.directorySequence,
  ],
  [
    'flotilla_feed_connected',
    '1 while the broker is connected to the feed of the enrollment service.',
    (g) => (g.feedConnected ? 1 : 0),
  ],
  [
    'flotilla_registry_behind',
    '1 while the broker knows changes that the registry, restored from an older backup, does not have.',
    (g) => (g.registryBehind ? 1 : 0),
  ],
  [
    'flotilla_reload_failed',
    '1 when the newest certificate or policy files could not be used.',
    (g) => (g.reloadFailed ? 1 : 0),
  ],
  [
    'flotilla_server_certificate_expires_in_seconds',
    "Time until the broker's own certificate expires.",
    (g) => (g.serverCertificateNotAfterMs - g.nowMs) / secondMs,
  ],
  [
    'flotilla_authority_expires_in_seconds',
    'Time until the first of the CA certificates expires.',
    (g) => (g.authorityNotAfterMs - g.nowMs) / secondMs,
  ],
  [
    'flotilla_sessions',
    'Sessions, including those without a connection.',
    (g) => g.statistics().sessions,
  ],
  ['flotilla_subscriptions', 'Subscriptions of all sessions.', (g) => g.statistics().subscriptions],
  ['flotilla_retained_messages', 'Retained messages.', (g) => g.statistics().retained],
  [
    'flotilla_queued_messages',
    'Messages that are queued for clients.',
    (g) => g.statistics().queuedMessages,
  ],
  [
    'flotilla_queued_bytes',
    'Size of the messages that are queued for clients.',
    (g) => g.statistics().queuedBytes,
  ],
];

/** The same for the gauges of each front. */
const frontTable: readonly (readonly [string, string, (load: FrontLoad) => number])[] = [
  [
    'flotilla_front_connections',
    'Connections of a front whose TLS handshake is complete.',
    (load) => load.connections,
  ],
  [
    'flotilla_front_busy_ratio',
    'Share of the time that the event loop of a front works.',
    (load) => load.busyShare,
  ],
];

/** The same for the journal in a database. Without one there is no series. */
const journalTable: readonly (readonly [
  string,
  string,
  (journal: JournalFacts, nowMs: number) => number,
])[] = [
  [
    'flotilla_journal_connected',
    '1 while the broker is connected to the database of its sessions.',
    ({ isConnected }) => (isConnected ? 1 : 0),
  ],
  [
    'flotilla_journal_term',
    'The number of this term: it grows with each broker that takes over.',
    ({ term }) => term,
  ],
  [
    'flotilla_journal_bytes',
    'Size of the journal since the last checkpoint.',
    ({ journalBytes }) => journalBytes,
  ],
  [
    'flotilla_journal_checkpoint_age_seconds',
    'Time since the last checkpoint, or since the start.',
    ({ checkpointAtMs }, nowMs) => Math.max(0, nowMs - checkpointAtMs) / secondMs,
  ],
  [
    'flotilla_journal_checkpoint_duration_seconds',
    'Duration of the last checkpoint.',
    ({ checkpointMs }) => checkpointMs / secondMs,
  ],
];

/** Name, help text, label names and samples of each counter that its owner keeps as plain numbers. */
const totalTable: readonly (readonly [
  string,
  string,
  readonly string[],
  (gauges: Gauges) => readonly Sample[],
])[] = [
  [
    'flotilla_messages_received_total',
    'PUBLISH packets received from clients.',
    ['qos'],
    (g) => byQos(g.statistics().messagesIn),
  ],
  [
    'flotilla_messages_sent_total',
    'PUBLISH packets sent to clients.',
    ['qos'],
    (g) => byQos(g.statistics().messagesOut),
  ],
  [
    'flotilla_received_bytes_total',
    'MQTT bytes received from clients.',
    [],
    (g) => single(g.statistics().bytesIn),
  ],
  [
    'flotilla_sent_bytes_total',
    'MQTT bytes sent to clients.',
    [],
    (g) => single(g.statistics().bytesOut),
  ],
  [
    'flotilla_store_commits_total',
    'Commits of the store.',
    [],
    (g) => single(g.statistics().storeCommits),
  ],
  [
    'flotilla_store_commit_seconds_total',
    'Total duration of the commits of the store.',
    [],
    (g) => single(g.statistics().storeCommitMs / secondMs),
  ],
  [
    'flotilla_policy_denied_by_rule_total',
    'Denied actions, by the rule that denied.',
    ['rule'],
    (g) => [...g.deniedByRule].map(([rule, value]) => ({ labels: { rule }, value })),
  ],
  [
    'flotilla_tls_handshakes_abandoned_total',
    'TLS handshakes that were not started because the client had disconnected.',
    [],
    (g) => single(g.handshakesAbandoned),
  ],
  [
    'flotilla_front_restarts_total',
    'Fronts that ended and were started again.',
    [],
    (g) => single(g.frontRestarts),
  ],
];

/**
 * Registers the metrics of the tables and the histogram of certificate lifetimes.
 *
 * @param read called for each metric at each scrape
 */
export function registerGauges(registry: Registry, read: () => Gauges): void {
  const registers = [registry];
  for (const [name, help, value] of journalTable) {
    new Gauge({
      name,
      help,
      labelNames: ['store'] as const,
      registers,
      collect() {
        this.reset();
        const { journals, nowMs } = read();
        for (const journal of journals) this.set({ store: journal.store }, value(journal, nowMs));
      },
    });
  }
  registerClusterGauges(registry, () => read().cluster);
  for (const [name, help, value] of gaugeTable) {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value(read()));
      },
    });
  }
  for (const [name, help, value] of frontTable) {
    new Gauge({
      name,
      help,
      labelNames: ['front'],
      registers,
      collect() {
        this.reset();
        for (const [at, load] of read().fronts.entries()) this.set({ front: at + 1 }, value(load));
      },
    });
  }
  for (const [name, help, labelNames, samples] of totalTable) {
    new Counter({
      name,
      help,
      labelNames: [...labelNames],
      registers,
      collect() {
        this.reset();
        for (const { labels, value } of samples(read())) this.inc(labels, value);
      },
    });
  }
  // A histogram of the current state, not of events: computed again at each scrape.
  new Histogram({
    name: 'flotilla_fleet_certificate_expires_in_seconds',
    help: 'Time until the newest certificate of each identity expires.',
    buckets: fleetLeftBuckets,
    registers,
    collect() {
      this.reset();
      for (const leftMs of read().fleetLeftMs()) this.observe(leftMs / secondMs);
    },
  });
}

function byQos(counts: readonly number[]): readonly Sample[] {
  return counts.map((value, qos) => ({ labels: { qos: String(qos) }, value }));
}

function single(value: number): readonly Sample[] {
  return [{ labels: {}, value }];
}
