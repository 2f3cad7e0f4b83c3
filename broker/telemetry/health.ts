/**
 * The checks behind `/healthz` (the process works), `/readyz` (devices can connect) and `/statusz`
 * (an operator may have to act). Pure functions.
 *
 * @module
 */
import type { X509Certificate } from 'node:crypto';
import { dayMs } from '../../core/config/duration.ts';
import { amountText } from '../../core/amount-text.ts';
import type { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { JournalFacts } from '../journal/journal-thread.ts';
import type { FrontLoad } from '../contracts/front-load.ts';
import type { Check } from '../../core/telemetry/metrics-server.ts';

/** The process is unhealthy when the event loop is later than this. */
export const lagMaxMs = 5000;

/** Ten times the usual interval: checkpoints fail. */
const checkpointAgeMaxSeconds = 300;

/** What is checked of a node of a cluster. */
export interface NodeVitals {
  /** Partitions that no node holds. */
  readonly orphaned: readonly number[];
  readonly links: { readonly connected: number; readonly expected: number };
  readonly assignment:
    | {
        readonly held: ReadonlySet<number>;
        readonly nodes: readonly { readonly alive: boolean }[];
        readonly isDraining: boolean;
      }
    | undefined;
}

/** The state that the checks use. */
export interface Vitals {
  readonly nowMs: number;
  readonly lagMs: number;
  /** Why the broker must stop; undefined while it works. */
  readonly fatalError: FlotillaError | undefined;
  /** Why the store cannot write at the moment; undefined while it can. */
  readonly storeStalled: string | undefined;
  /** The journals in the database. */
  readonly journals: readonly JournalFacts[];
  readonly listening: boolean;
  /** What this node of a cluster holds; undefined: the broker works alone. */
  readonly node: NodeVitals | undefined;
  readonly directory: {
    readonly ready: boolean;
    readonly size: number;
    readonly sequence: number;
    /** Set when this broker knows more than the registry, which was restored from an older backup. */
    readonly earlier: object | undefined;
    /** Identities about which an operator has to decide then. */
    readonly undecided: { readonly size: number };
  };
  readonly leaf: X509Certificate;
  /** What allocates native memory. */
  readonly allocator: string;
  readonly feedConnected: boolean;
  /** Whether the directory on the disk is up to date. */
  readonly directorySaved: boolean;
  /** Failed reloads: what could not be loaded, and why. */
  readonly reloadErrors: ReadonlyMap<string, string>;
  /** The threads that do TLS; empty if there are none. */
  readonly fronts: readonly FrontLoad[];
  readonly frontsRunning: number;
  /** The number of identities that are held because of an incident. */
  readonly held: number;
}

/** Whether the process works. If not, it should be restarted. */
export function healthChecks({ lagMs, fatalError }: Vitals): readonly Check[] {
  return [
    { name: 'event loop', ok: lagMs < lagMaxMs, detail: `${Math.round(lagMs)} ms late` },
    { name: 'store', ok: fatalError === undefined, detail: fatalError?.message ?? 'writable' },
  ];
}

/**
 * Whether devices can connect. That does not require the enrollment service: a load balancer must not
 * remove brokers while it is unavailable.
 */
export function readinessChecks(vitals: Vitals): readonly Check[] {
  const { fatalError, storeStalled, listening, directory, leaf, nowMs } = vitals;
  const storeFault = fatalError?.message ?? storeStalled;
  return [
    { name: 'store', ok: storeFault === undefined, detail: storeFault ?? 'writable' },
    { name: 'listening', ok: listening, detail: listening ? 'yes' : 'no' },
    ...partitionCheck(vitals),
    {
      name: 'directory',
      ok: directory.ready,
      detail: `${amountText(directory.size, 'identity', 'identities')}, change ${directory.sequence}${directory.earlier === undefined ? '' : '; the registry was restored from an older backup'}`,
    },
    {
      name: 'server certificate',
      ok: leaf.validToDate.getTime() > nowMs,
      detail: `${Math.floor((leaf.validToDate.getTime() - nowMs) / dayMs)} days left`,
    },
  ];
}

/** All checks, including those that need an operator although devices can connect. */
export function statusChecks(vitals: Vitals): readonly Check[] {
  const { directory, feedConnected, held } = vitals;
  const errors = [...vitals.reloadErrors].map(([what, error]) => `${what}: ${error}`);
  return [
    ...healthChecks(vitals).slice(0, 1),
    ...readinessChecks(vitals),
    ...vitals.journals.map((journal) => journalCheck(journal, vitals.nowMs, vitals.node)),
    ...frontCheck(vitals),
    ...linkCheck(vitals),
    { name: 'memory allocator', ok: true, detail: vitals.allocator },
    {
      name: 'feed',
      ok: feedConnected,
      detail: feedConnected ? 'connected' : 'not connected to the enrollment service',
    },
    {
      name: 'registry',
      ok: directory.earlier === undefined,
      detail:
        directory.earlier === undefined
          ? 'has all that this broker knows'
          : `was restored from an older backup: this broker knows more about ${directory.undecided.size} identities; run flotilla reconcile`,
    },
    {
      name: 'directory on disk',
      ok: vitals.directorySaved,
      detail: vitals.directorySaved ? 'up to date' : 'could not be written, trying again',
    },
    {
      name: 'reload',
      ok: errors.length === 0,
      detail: errors.length === 0 ? 'the newest files are in force' : errors.join('; '),
    },
    {
      name: 'incident holds',
      ok: held === 0,
      detail: `${amountText(held, 'identity is', 'identities are')} held because of an incident`,
    },
  ];
}

/** Whether the database has a recent checkpoint: otherwise a takeover takes long. */
function journalCheck(
  { store, term, isConnected, journalBytes, checkpointAtMs, checkpointMs }: JournalFacts,
  nowMs: number,
  node: NodeVitals | undefined,
): Check {
  const ageSeconds = Math.max(0, Math.round((nowMs - checkpointAtMs) / 1000));
  const isLate = journalBytes > 0 && ageSeconds > checkpointAgeMaxSeconds;
  return {
    name: node === undefined ? 'database' : `database of ${store}`,
    ok: isConnected && !isLate,
    detail: `${isConnected ? 'connected' : 'not connected'}, term ${term}, checkpoint ${ageSeconds} s ago in ${Math.round(checkpointMs)} ms, ${Math.round(journalBytes / 1024)} KiB of journal since`,
  };
}

/** Whether each partition of the cluster is served, and new connections should come here. */
function partitionCheck({ node }: Vitals): readonly Check[] {
  if (node === undefined) return [];
  const { orphaned, assignment } = node;
  const held = [...(assignment?.held ?? [])].sort((one, other) => one - other);
  const nodes = assignment?.nodes.filter(({ alive }) => alive).length ?? 0;
  const missing = orphaned.length === 0 ? '' : `, nobody serves ${orphaned.join(', ')}`;
  const isDraining = assignment?.isDraining === true;
  const draining = 'its partitions move to other nodes, until flotilla node resume';
  return [
    ...(isDraining ? [{ name: 'draining', ok: false, detail: draining }] : []),
    {
      name: 'partitions',
      ok: orphaned.length === 0,
      detail: `serves ${held.length === 0 ? 'none' : held.join(', ')} with ${amountText(nodes, 'node')}${missing}`,
    },
  ];
}

/** Whether messages reach all other partitions at once. */
function linkCheck({ node }: Vitals): readonly Check[] {
  if (node === undefined) return [];
  const { connected, expected } = node.links;
  return [
    {
      name: 'links',
      ok: connected === expected,
      detail: `${connected} of ${expected} links to other partitions are connected`,
    },
  ];
}

/** Whether all fronts run, and how busy they are. */
function frontCheck({ fronts, frontsRunning }: Vitals): readonly Check[] {
  if (fronts.length === 0) return [];
  const loads = fronts.map(
    ({ connections, busyShare }) =>
      `${amountText(connections, 'connection')} at ${Math.round(100 * busyShare)} %`,
  );
  return [
    {
      name: 'fronts',
      ok: frontsRunning === fronts.length,
      detail: `${frontsRunning} of ${fronts.length} run: ${loads.join(', ')}`,
    },
  ];
}
