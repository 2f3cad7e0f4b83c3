/**
 * All figures of a report that a threshold may name. An unknown name is reported when the plan is read,
 * not after the run.
 *
 * @module
 */
import { editDistance } from '../../core/similar-name.ts';
import { timerNames } from '../measure/meter.ts';
import { phasesOf } from './phase-names.ts';
import type { PhaseKind } from './phase-schema.ts';
import type { Plan } from './plan-schema.ts';

/** The figures of each kind of phase. */
export const phaseFigures: Readonly<Record<PhaseKind, readonly string[]>> = {
  enroll: ['enrolled', 'reused', 'failed', 'perSecond'],
  ramp: ['connected', 'missing', 'perSecond'],
  steady: ['devices'],
  soak: ['devices', 'brokerMemoryGrowthBytes'],
  burst: ['devices'],
  pause: [],
  churn: ['turns', 'missing'],
  'reconnect-storm': ['devices', 'missing', 'lastBackMs'],
  'mass-renewal': ['renewed', 'failed', 'notDue', 'missing', 'elapsedMs'],
  'revocation-drill': [
    'devices',
    'disconnectMaxMs',
    'stillConnected',
    'returned',
    'returnedResumed',
    'resumeOffered',
    'renewed',
    'bystanderDrops',
  ],
  'clone-attack': [
    'attempts',
    'asOthers',
    'asInvented',
    'takeovers',
    'both',
    'away',
    'bystanderDrops',
  ],
  'acl-probe': ['refused', 'granted', 'leaks', 'forgeries', 'forged'],
  'bad-certificates': ['attempts', 'accepted', 'bystanderDrops'],
  'slow-readers': [
    'slow',
    'commands',
    'healthyMissing',
    'away',
    'bystanderDrops',
    'brokerMemoryGrowthBytes',
  ],
  'half-open': ['connections', 'closedByBroker', 'witnessMs', 'witnessAway', 'bystanderDrops'],
  'command-roundtrip': ['commands', 'missing'],
  'offline-queue': ['commands', 'missing', 'away'],
};

const percentiles = ['p50', 'p95', 'p99', 'max', 'count'];
const counts = [
  'published',
  'acknowledged',
  'expected',
  'delivered',
  'lost',
  'duplicated',
  'misdelivered',
];
const latencies = timerNames.filter((name) => !name.toLowerCase().endsWith('scheduleerror'));

/** The figures of a report outside of its phases. */
export const runFigures: readonly string[] = [
  'durationMs',
  ...under('devices', ['planned', 'enrolled', 'connected', 'failed', 'retired', 'distinctKeys']),
  ...under('messages', counts),
  ...under('telemetry', counts),
  ...under('commands', [...counts, 'undeliverable']),
  ...latencies.flatMap((name) => under(`latencyMs.${name}`, percentiles)),
  ...under('rates', ['enrollPerSecond', 'connectPerSecond', 'publishPerSecond']),
  ...under('simulator', [
    'valid',
    ...under('scheduleErrorMs', percentiles),
    ...under('connectScheduleErrorMs', percentiles),
    'missed',
    'workers',
    'cpuMs',
    'cpuPerMessageUs',
    'loopBusyMax',
    'loopBusyMean',
    'rssBytes',
    'rssPerDeviceBytes',
  ]),
  ...under('machine', ['cores', 'busyShare', 'otherShare', 'contended']),
  ...under('broker', ['local', 'cpuMs', 'cpuPerMessageUs', 'rssBytes', 'rssPeakBytes']),
];

/** Why a figure does not exist in reports of this plan; undefined when it does. */
export function figureFault(figure: string, plan: Pick<Plan, 'phases'>): string | undefined {
  const [head, name = '', ...rest] = figure.split('.');
  if (head !== 'phases') return faultAmong(figure, runFigures);
  const phase = phasesOf(plan).find((found) => found.name === name);
  if (phase === undefined) return `this plan has no phase ${name}`;
  return faultAmong(rest.join('.'), [
    'ok',
    'atMs',
    'durationMs',
    ...under('figures', phaseFigures[phase.spec.phase]),
    ...timerNames.flatMap((timer) => under(`latencyMs.${timer}`, percentiles)),
  ]);
}

function faultAmong(figure: string, known: readonly string[]): string | undefined {
  if (known.includes(figure)) return undefined;
  const near = known
    .map((name) => ({ name, far: editDistance(figure.toLowerCase(), name.toLowerCase()) }))
    .toSorted((one, two) => one.far - two.far)[0];
  const hint = near === undefined || near.far > 4 ? '' : `; did you mean ${near.name}?`;
  return `there is no figure ${figure}${hint}`;
}

function under(path: string, names: readonly string[]): string[] {
  return names.map((name) => `${path}.${name}`);
}
