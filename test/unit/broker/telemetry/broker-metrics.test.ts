import test from 'ava';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parse, stringify } from 'yaml';
import { BrokerMetrics } from '../../../../broker/telemetry/broker-metrics.ts';
import { registerGauges, type Gauges } from '../../../../broker/telemetry/gauge-metrics.ts';
import {
  EnrollmentMetrics,
  type EnrollmentGauges,
} from '../../../../enroll/telemetry/enrollment-metrics.ts';
import type { SessionStatistics } from '../../../../broker/contracts/session-layer.ts';
import { runChild } from '../../../support/child.ts';
import { debianTool } from '../../../support/debian-tool.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

const statistics: SessionStatistics = {
  messagesIn: [1, 2, 3],
  messagesOut: [4, 5, 6],
  bytesIn: 7,
  bytesOut: 8,
  sessions: 9,
  subscriptions: 10,
  retained: 11,
  queuedMessages: 12,
  queuedBytes: 13,
  storeCommits: 14,
  storeCommitMs: 1500,
};
const gauges: Gauges = {
  connections: 1,
  handshakesHalfOpen: 2,
  handshakesWaiting: 3,
  handshakesAbandoned: 4,
  directoryEntries: 5,
  directorySequence: 6,
  feedConnected: true,
  serverCertificateNotAfterMs: 10_000,
  authorityNotAfterMs: 20_000,
  reloadFailed: false,
  journals: [
    {
      ...{ store: 'main', term: 7, isConnected: true, journalBytes: 1024 },
      ...{ checkpointAtMs: -30_000, checkpointMs: 250, checkpointRows: 3 },
    },
  ],
  cluster: {
    orphaned: [2],
    links: { connected: 3, expected: 4 },
    assignment: {
      held: new Set([0, 1]),
      nodes: [
        { alive: true, draining: false },
        { alive: false, draining: false },
      ],
    },
    queued: [
      { peer: 'p0', messages: 3, bytes: 300 },
      { peer: 'p0', messages: 4, bytes: 400 },
    ],
    relays: { size: 5 },
  },
  registryBehind: false,
  nowMs: 0,
  fleetLeftMs: () => [-1, 43_200_000, 400 * 86_400_000],
  deniedByRule: new Map([['device/own', 3]]),
  fronts: [
    { connections: 3, handshakes: 9, busyShare: 0.25 },
    { connections: 4, handshakes: 8, busyShare: 0.5 },
  ],
  frontRestarts: 2,
  statistics: () => statistics,
};

const enrollmentGauges: EnrollmentGauges = {
  nowMs: 0,
  identities: 1,
  brokers: 2,
  changesUnconfirmed: 3,
  feedSequence: 4,
  auditLogWritable: true,
  rootNotAfterMs: 5000,
  issuerNotAfterMs: 6000,
  serverCertificateNotAfterMs: 7000,
};

/** Names and labels of everything that is exported, with a sample of each labelled one. */
async function exported(): Promise<{
  text: string;
  names: Set<string>;
  labels: Map<string, Set<string>>;
}> {
  const metrics = new BrokerMetrics();
  registerGauges(metrics.registry, () => gauges);
  const enrollment = new EnrollmentMetrics();
  enrollment.registerGauges(() => enrollmentGauges);
  metrics.connectionsOpened.inc({ protocol: '5' });
  metrics.connectionsClosed.inc({ reason: 'x' });
  metrics.refused.inc({ reason: 'x' });
  metrics.denied.inc({ action: 'publish', reason: 'x' });
  metrics.dropped.inc({ reason: 'x' });
  metrics.handshakes.inc({ kind: 'full' });
  metrics.handshakesFailed.inc({ reason: 'x' });
  metrics.incidents.inc({ kind: 'clone' });
  metrics.reloads.inc({ what: 'policy', outcome: 'done' });
  metrics.handshakeSeconds.observe({ kind: 'full' }, 0.01);
  metrics.liveEffectSeconds.observe(0.01);
  metrics.eventLoopLag.observe(0.01);
  const text = `${await metrics.registry.metrics()}${await enrollment.registry.metrics()}`;
  const names = new Set<string>();
  const labels = new Map<string, Set<string>>();
  for (const line of text.split('\n')) {
    const [, name, inside = ''] = /^(flotilla_\w+)(?:\{(.*)\})? /.exec(line) ?? [];
    if (name === undefined) continue;
    names.add(name);
    const known = labels.get(name) ?? new Set();
    for (const [, label] of inside.matchAll(/(\w+)="/g)) known.add(label!);
    labels.set(name, known);
  }
  return { text, names, labels };
}

/** Every PromQL expression of the alert rules and of the dashboard. */
function expressions(): string[] {
  const rules = parse(readFileSync('examples/alerts.yaml', 'utf8')) as {
    groups: { rules: { alert: string; expr: string; annotations: { summary: string } }[] }[];
  };
  const dashboard = JSON.parse(readFileSync('examples/grafana-dashboard.json', 'utf8')) as {
    panels: { title: string; targets: { expr: string }[] }[];
  };
  return [
    ...rules.groups.flatMap((group) => group.rules.map(({ expr }) => expr)),
    ...dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
  ];
}

function annotationOf(alert: string, name: string): string {
  const { groups } = parse(readFileSync('examples/alerts.yaml', 'utf8')) as {
    groups: { rules: { alert: string; annotations: Record<string, string> }[] }[];
  };
  const found = groups.flatMap(({ rules }) => rules).find((rule) => rule.alert === alert);
  return found?.annotations[name] ?? '';
}

test('alert rules and the dashboard use only exported names and labels', async (t) => {
  const { names, labels } = await exported();
  const all = expressions();
  t.true(all.length > 30, 'there was something to look at');
  for (const expr of all) {
    const used = [...expr.matchAll(/flotilla_\w+/g)].map(([name]) => name);
    if (used.length === 0) {
      t.regex(expr, /up\{|process_\w+\{job="flotilla"/, expr);
      continue;
    }
    for (const name of used) t.true(names.has(name), `${name} in ${expr}`);
    const known = new Set(used.flatMap((name) => [...(labels.get(name) ?? [])]));
    const grouped = [...expr.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list]) =>
      list!.split(/,\s*/),
    );
    const matched = [...expr.matchAll(/flotilla_\w+\{(\w+)=/g)].map(([, label]) => label!);
    for (const label of [...grouped, ...matched]) t.true(known.has(label), `${label} in ${expr}`);
  }
});

test('promtool can read every expression of the dashboard', async (t) => {
  const promtool = debianTool(t, 'promtool');
  if (promtool === undefined) return;
  const rules = expressions().map((expr, at) => ({
    record: `dashboard:${at}`,
    expr: expr.replaceAll('$__rate_interval', '1m'),
  }));
  const file = join(tempFolder(t), 'rules.yaml');
  writeFileSync(file, stringify({ groups: [{ name: 'dashboard', rules }] }));
  const { code, stdout, stderr } = await runChild(t, promtool, ['check', 'rules', file]);
  t.is(code, 0, `${stdout}${stderr}`);
});

test('the alert for a service that is down says which one, since when, and what to do', async (t) => {
  const promtool = debianTool(t, 'promtool');
  if (promtool === undefined) return;
  const folder = tempFolder(t);
  const instance = '10.0.0.7:9464';
  const firing = (since: string, evalTime: string): object => ({
    eval_time: evalTime,
    alertname: 'FlotillaBrokerDown',
    exp_alerts: [
      {
        exp_labels: { severity: 'critical', job: 'flotilla', instance },
        exp_annotations: {
          summary: `The Flotilla service at ${instance} has not answered on its metrics port ${since}.`,
          description: annotationOf('FlotillaBrokerDown', 'description'),
        },
      },
    ],
  });
  t.regex(annotationOf('FlotillaBrokerDown', 'description'), /run flotilla status/);
  const file = join(folder, 'tests.yaml');
  const tests = {
    rule_files: [resolve('examples/alerts.yaml')],
    evaluation_interval: '1m',
    tests: [
      {
        interval: '1m',
        input_series: [
          { series: `up{job="flotilla",instance="${instance}"}`, values: '1x10 0x3000' },
          { series: 'up{job="flotilla",instance="10.0.0.8:9465"}', values: '1x3000' },
        ],
        alert_rule_test: [
          { eval_time: '10m', alertname: 'FlotillaBrokerDown', exp_alerts: [] },
          firing('since 1970-01-01 00:10:00 +0000 UTC', '30m'),
          firing('for more than a day', '40h'),
        ],
      },
    ],
  };
  writeFileSync(file, stringify(tests));
  const { code, stdout, stderr } = await runChild(t, promtool, ['test', 'rules', file]);
  t.is(code, 0, `${stdout}${stderr}`);
});

test('every exported metric is used by the dashboard or an alert', async (t) => {
  const { names } = await exported();
  const shown = expressions().join('\n');
  const families = [...names].map((name) => name.replace(/_(?:bucket|sum|count)$/, ''));
  for (const family of new Set(families)) t.true(shown.includes(family), family);
});

test('every scrape exports the current totals of the session layer', async (t) => {
  const metrics = new BrokerMetrics();
  registerGauges(metrics.registry, () => gauges);
  await metrics.registry.metrics();
  const text = await metrics.registry.metrics();
  for (const line of [
    'flotilla_messages_received_total{qos="1"} 2',
    'flotilla_messages_sent_total{qos="2"} 6',
    'flotilla_received_bytes_total 7',
    'flotilla_store_commit_seconds_total 1.5',
    'flotilla_front_connections{front="2"} 4',
    'flotilla_front_busy_ratio{front="1"} 0.25',
    'flotilla_front_restarts_total 2',
    'flotilla_policy_denied_by_rule_total{rule="device/own"} 3',
    'flotilla_fleet_certificate_expires_in_seconds_bucket{le="0"} 1',
    'flotilla_fleet_certificate_expires_in_seconds_bucket{le="86400"} 2',
    'flotilla_fleet_certificate_expires_in_seconds_count 3',
    'flotilla_server_certificate_expires_in_seconds 10',
  ]) {
    t.true(text.split('\n').includes(line), `${line}\n${text}`);
  }
});

test('metric names follow the conventions: unit as suffix, _total only for counters', async (t) => {
  const { text } = await exported();
  for (const [, name, type] of text.matchAll(/^# TYPE (\w+) (\w+)$/gm)) {
    t.is(name!.endsWith('_total'), type === 'counter', name);
    if (type === 'histogram') t.regex(name!, /_seconds$/);
  }
});

test('labelled counters start at 0, so that an alert sees the first event', async (t) => {
  const text = await new BrokerMetrics().registry.metrics();
  for (const line of [
    'flotilla_incidents_total{kind="overlap"} 0',
    'flotilla_incidents_total{kind="clone"} 0',
    'flotilla_reloads_total{what="policy",outcome="done"} 0',
    'flotilla_messages_dropped_total{reason="queue-full"} 0',
    'flotilla_connections_refused_total{reason="certificate-revoked"} 0',
    'flotilla_policy_denied_total{action="publish",reason="publish-denied"} 0',
  ]) {
    t.true(text.split('\n').includes(line), line);
  }
});

test('a node of a cluster has series of partitions, links and queues; a broker that works alone has none', async (t) => {
  const { text } = await exported();
  t.regex(text, /^flotilla_cluster_nodes 1$/m);
  t.regex(text, /^flotilla_cluster_partitions_held 2$/m);
  t.regex(text, /^flotilla_cluster_partitions_unserved 1$/m);
  t.regex(text, /^flotilla_cluster_links_missing 1$/m);
  t.regex(text, /^flotilla_cluster_relayed_connections 5$/m);
  t.regex(text, /^flotilla_cluster_peer_queue_messages\{peer="p0"\} 7$/m);
  const alone = new BrokerMetrics();
  registerGauges(alone.registry, () => ({ ...gauges, cluster: undefined }));
  t.notRegex(await alone.registry.metrics(), /^flotilla_cluster_/m);
});
