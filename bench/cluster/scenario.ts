/**
 * What a scenario of the cluster benchmark gets, and what it finds.
 *
 * @module
 */
import type { RunCertificates } from '../certificates.ts';
import type { Clients } from '../clients.ts';
import type { BenchNodes } from './bench-nodes.ts';

export interface ScenarioPlan {
  readonly rounds: number;
  /** How many devices. Their ids are `device-0`, `device-1` and so on. */
  readonly devices: number;
  readonly ratePerSecond: number;
  readonly certificates: RunCertificates;
  readonly clients: Clients;
  readonly random: () => number;
  /** Starts the nodes of the command line, or others, with an empty database. */
  readonly start: (shape?: Partial<ClusterShape>) => Promise<BenchNodes>;
  /** Prints a line of progress. */
  readonly report: (line: string) => void;
}

export interface ClusterShape {
  readonly nodes: number;
  readonly partitions: number;
  /** Whether the nodes and the database are behind proxies. */
  readonly hasFaults?: boolean;
}

export interface ScenarioResult {
  /** What must not happen, one text each. */
  readonly violations: readonly string[];
  readonly figures: Readonly<Record<string, unknown>>;
}

export type Scenario = (plan: ScenarioPlan) => Promise<ScenarioResult>;

/** One of several things. @throws Error when there are none */
export function oneOf<T>(items: readonly T[], random: () => number): T {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new Error('there is nothing to choose from');
  return item;
}
