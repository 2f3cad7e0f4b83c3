/**
 * Makes keys and certificates before a run: enrolled with a Flotilla and stored, or signed by a CA that
 * is created for any other broker.
 *
 * @module
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Authority, createRoot } from '../certs/authority.ts';
import { generateKey, privateKeyPem, spkiOf, type KeyType } from '../certs/key.ts';
import { subjectNamesOf } from '../certs/subject-names.ts';
import { secretFileMode, secretFolderMode } from '../core/atomic-file.ts';
import type { Clock } from '../core/clock.ts';
import type { SimulationDeps } from './controller/simulation.ts';
import { observerFolder } from './credentials/certificate-folder.ts';
import type { Plan } from './plan/plan-schema.ts';
import { checkPlan } from './plan/read-plan.ts';
import { rosterOf } from './fleet/roster.ts';
import { runSimulation } from './run.ts';
import { newSeed } from './plan/seed.ts';
import { dayMs } from '../core/config/duration.ts';

export interface Prepared {
  readonly devices: number;
  /** Devices that had a certificate already. */
  readonly reused: number;
  readonly failed: number;
  readonly elapsedMs: number;
}

/**
 * Enrolls the fleet of a plan with a Flotilla and stores keys and certificates in the target's
 * `keepFolder`; later runs of a plan with this name use them. Existing certificates are kept.
 *
 * @throws FlotillaError as `runSimulation`
 */
export async function prepareFleet(plan: Plan, deps: SimulationDeps): Promise<Prepared> {
  const report = await runSimulation(
    {
      ...plan,
      run: { ...plan.run, observers: 0, keep: true, removeDevices: false },
      phases: checkPlan({
        name: 'prepare',
        fleet: [{ group: 'none', count: 1 }],
        phases: [{ phase: 'enroll' }],
      }).phases,
      thresholds: [],
    },
    deps,
  );
  const figures = report.phases[0]?.figures ?? {};
  return {
    devices: report.devices.planned,
    reused: figures['reused'] ?? 0,
    failed: figures['failed'] ?? report.devices.planned,
    elapsedMs: report.durationMs,
  };
}

/**
 * Creates a folder for any broker: `ca.pem`, `ca.key.pem`, one `{id}/key.pem` and `{id}/chain.pem` for
 * each device of the plan, `observer/`, and `server/` for the broker itself. Existing certificates and
 * an existing CA are kept.
 *
 * @param names host names and addresses of the broker, for its server certificate
 */
export async function prepareFolder(
  plan: Plan,
  folder: string,
  names: readonly string[],
  clock: Clock,
): Promise<Prepared> {
  const startMs = clock.monotonicMs();
  await mkdir(folder, { recursive: true, mode: secretFolderMode });
  const authority = await openAuthority(folder, clock);
  const roster = rosterOf(plan, plan.seed ?? newSeed());
  let reused = 0;
  const issue = async (
    name: string,
    keyType: KeyType,
    profile: 'device' | 'service' | 'server',
  ): Promise<void> => {
    const at = join(folder, name);
    if (await exists(join(at, 'chain.pem'))) {
      reused++;
      return;
    }
    const key = await generateKey(keyType);
    const issued = authority.issue({
      spki: spkiOf(key),
      profile,
      commonName: name === 'server' ? (names[0] ?? 'localhost') : name,
      validityMs: 90 * dayMs,
      ...(profile === 'server' ? { names: subjectNamesOf(names) } : {}),
    });
    await mkdir(at, { recursive: true, mode: secretFolderMode });
    await writeFile(join(at, 'key.pem'), privateKeyPem(key), { mode: secretFileMode });
    await writeFile(join(at, 'chain.pem'), issued.pem);
  };
  await issue('server', 'p256', 'server');
  await issue(observerFolder, 'p256', 'service');
  reused = 0;
  for (const number of roster.numbersOf()) {
    await issue(roster.idOf(number), roster.groupOf(number).keyType, 'device');
  }
  return {
    devices: roster.size,
    reused,
    failed: 0,
    elapsedMs: Math.round(clock.monotonicMs() - startMs),
  };
}

async function openAuthority(folder: string, clock: Clock): Promise<Authority> {
  const certificatePath = join(folder, 'ca.pem');
  const keyPath = join(folder, 'ca.key.pem');
  if ((await exists(certificatePath)) && (await exists(keyPath))) {
    const key = createPrivateKey(await readFile(keyPath, 'utf8'));
    const certificate = new X509Certificate(await readFile(certificatePath)).raw;
    return new Authority({ key, certificate, clock });
  }
  const key = await generateKey('p256');
  const root = createRoot({
    commonName: 'Flotilla simulation CA',
    validityMs: 365 * dayMs,
    key,
    clock,
  });
  await writeFile(keyPath, privateKeyPem(key), { mode: secretFileMode });
  await writeFile(certificatePath, root.pem);
  return new Authority({ key, certificate: root.der, clock });
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}
