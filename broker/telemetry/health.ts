/**
 * Whether the broker works, does its job, and needs a person: the checks behind `/healthz`,
 * `/readyz` and `/statusz`. Pure functions over what stands.
 *
 * @module
 */
import type { X509Certificate } from 'node:crypto';
import type { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { Check } from './metrics-server.ts';

/** An event loop that is later than this cannot do its job. */
export const lagMaxMs = 5000;

/** What the checks look at. */
export interface Vitals {
  readonly nowMs: number;
  readonly lagMs: number;
  /** Why the broker cannot go on; undefined while it can. */
  readonly fault: FlotillaError | undefined;
  readonly listening: boolean;
  readonly directory: { readonly ready: boolean; readonly size: number; readonly sequence: number };
  readonly leaf: X509Certificate;
  readonly feedConnected: boolean;
  /** What could not be taken over, by its name. */
  readonly reloadFaults: ReadonlyMap<string, string>;
  /** Identities that are held for an incident. */
  readonly restrained: number;
}

/** Whether the process works: if not, it should be started anew. */
export function healthChecks({ lagMs, fault }: Vitals): readonly Check[] {
  return [
    { name: 'event loop', ok: lagMs < lagMaxMs, detail: `${Math.round(lagMs)} ms late` },
    { name: 'store', ok: fault === undefined, detail: fault?.message ?? 'it writes' },
  ];
}

/**
 * Whether devices can connect. The enrollment service is not needed for that: a balancer must not
 * take brokers out because of it.
 */
export function readinessChecks(vitals: Vitals): readonly Check[] {
  const { fault, listening, directory, leaf, nowMs } = vitals;
  return [
    { name: 'store', ok: fault === undefined, detail: fault?.message ?? 'it writes' },
    { name: 'listening', ok: listening, detail: listening ? 'yes' : 'no' },
    {
      name: 'directory',
      ok: directory.ready,
      detail: `${directory.size} identities, change ${directory.sequence}`,
    },
    {
      name: 'server certificate',
      ok: leaf.validToDate.getTime() > nowMs,
      detail: `ends ${leaf.validToDate.toISOString()}`,
    },
  ];
}

/** All of that, and what needs a person though the broker does its job. */
export function statusChecks(vitals: Vitals): readonly Check[] {
  const { feedConnected, restrained } = vitals;
  const faults = [...vitals.reloadFaults].map(([what, fault]) => `${what}: ${fault}`);
  return [
    ...healthChecks(vitals).slice(0, 1),
    ...readinessChecks(vitals),
    {
      name: 'feed',
      ok: feedConnected,
      detail: feedConnected ? 'connected' : 'the enrollment service is away',
    },
    {
      name: 'reload',
      ok: faults.length === 0,
      detail: faults.length === 0 ? 'files are in force' : faults.join('; '),
    },
    {
      name: 'restrained',
      ok: restrained === 0,
      detail: `${restrained} identities are held for an incident`,
    },
  ];
}
