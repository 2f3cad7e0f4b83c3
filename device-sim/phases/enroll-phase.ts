/**
 * `enroll`: every device gets its certificate from the real API, or uses the stored one.
 *
 * @module
 */
import type { DeviceCredential } from '../device/credential.ts';
import type { PhaseOf } from '../plan/phase-schema.ts';
import { seeded, shuffled } from '../plan/seed.ts';
import { participants, type PhaseContext, type PhaseOutcome } from './phase-context.ts';

/** Lifetime of the tokens of a run, which are used immediately. */
const tokenTtlSeconds = 3600;
const adoptSlice = 500;

export async function runEnroll(
  spec: PhaseOf<'enroll'>,
  context: PhaseContext,
): Promise<PhaseOutcome> {
  const { pool, roster, fleet, credentialStore, plan, api } = context;
  const wanted = participants(context, spec.groups);
  // Private keys are never sent to agents: their devices generate new keys in each run.
  const usesAgents = plan.run.agents.length > 0;
  const ids = usesAgents ? [] : wanted.map((number) => roster.idOf(number));
  const kept = await credentialStore.find(new Set<string>(ids));
  const withoutCertificate: number[] = [];
  const known: { device: number; credential: DeviceCredential }[] = [];
  for (const device of wanted) {
    const credential = kept.get(roster.idOf(device));
    if (credential === undefined) withoutCertificate.push(device);
    else known.push({ device, credential });
  }
  for (const { worker, places } of pool.shares(known.map(({ device }) => device))) {
    for (let first = 0; first < places.length; first += adoptSlice) {
      const credentials = places.slice(first, first + adoptSlice).flatMap((place) => {
        const item = known[place];
        return item === undefined ? [] : [{ ...item.credential, device: item.device }];
      });
      await worker.call('adopt', { credentials });
    }
  }
  for (const { credential } of known) fleet.keys.add(credential.keyFingerprint);
  fleet.enrolled += known.length;
  const result = await enrollDevices(withoutCertificate, spec, context);
  if (plan.run.keep && !usesAgents && api !== undefined && withoutCertificate.length > 0)
    await saveCredentials(withoutCertificate, context);
  return {
    evidence: [
      ...(known.length > 0 ? [`${known.length} devices had a stored certificate`] : []),
      ...(withoutCertificate.length > 0
        ? [
            `${result.enrolled} of ${withoutCertificate.length} devices enrolled, ${result.perSecond.toFixed(0)} per second`,
          ]
        : []),
    ],
    figures: {
      enrolled: result.enrolled,
      reused: known.length,
      failed: withoutCertificate.length - result.enrolled,
      perSecond: result.perSecond,
    },
  };
}

async function enrollDevices(
  devices: readonly number[],
  spec: PhaseOf<'enroll'>,
  context: PhaseContext,
): Promise<{ enrolled: number; perSecond: number }> {
  const { api, pool, roster, fleet, seed, name } = context;
  if (devices.length === 0) return { enrolled: 0, perSecond: 0 };
  if (api === undefined) {
    for (const device of devices) fleet.failed.set(device, 'no certificate');
    return { enrolled: 0, perSecond: 0 };
  }
  // Real devices do not enroll in the order of their names.
  const order = shuffled(devices, seeded(seed, 'enroll-order', name));
  const tokens = new Map<number, string>();
  for (const group of new Set(order.map((device) => roster.groupOf(device).group))) {
    const members = order.filter((device) => roster.groupOf(device).group === group);
    const made = await api.createTokens(
      members.map((device) => roster.idOf(device)),
      group,
      tokenTtlSeconds,
    );
    for (const [place, device] of members.entries()) tokens.set(device, made[place] ?? '');
  }
  const shares = pool.shares(order);
  const startMs = context.clock.now() + 50;
  const beforeMs = performance.now();
  const results = await Promise.all(
    shares.map(({ worker, devices: share, places }) =>
      worker.call('enroll', {
        devices: share,
        tokens: share.map((device) => tokens.get(device) ?? ''),
        atMs:
          spec.rate === undefined
            ? undefined
            : places.map((place) => startMs + (place * 1000) / (spec.rate ?? 1)),
        concurrency: Math.max(1, Math.ceil(spec.atOnce / shares.length)),
      }),
    ),
  );
  const elapsedMs = Math.max(1, performance.now() - beforeMs);
  let failed = 0;
  for (const result of results) {
    for (const { device, reason } of result.failed) {
      fleet.failed.set(device, `enroll: ${reason}`);
      failed++;
    }
    for (const key of result.keys) fleet.keys.add(key);
  }
  const enrolled = devices.length - failed;
  fleet.enrolled += enrolled;
  return { enrolled, perSecond: (enrolled * 1000) / elapsedMs };
}

/** Stores the current credentials of devices. */
export async function saveCredentials(
  devices: readonly number[],
  { pool, credentialStore }: Pick<PhaseContext, 'pool' | 'credentialStore'>,
): Promise<void> {
  const all: DeviceCredential[] = [];
  for (const { worker, devices: share } of pool.shares(devices)) {
    for (let first = 0; first < share.length; first += adoptSlice) {
      all.push(
        ...(await worker.call('credentials', { devices: share.slice(first, first + adoptSlice) })),
      );
    }
  }
  await credentialStore.save(all);
}
