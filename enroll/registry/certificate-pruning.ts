/**
 * Removes certificates that ended long ago from the rows of their identities. The audit log keeps their serial
 * numbers. Without this, rows, memory and the time of a start would grow with each renewal for decades.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import { isFlotillaError } from '../../core/errors/flotilla-error.ts';
import type { CertificateRecord, DeviceRecord } from './records.ts';
import type { Put, Registry, Stored } from './registry.ts';

const devicesPerCommit = 200;
/** The devices of one run: the first run on an old registry must not delay other work for minutes. */
const devicesPerRunMax = 20_000;

export interface PruningDeps {
  readonly registry: Registry;
  readonly clock: Clock;
  /** How long after its end a certificate stays, in ms: it may still renew, and must be on one more CRL. */
  readonly keepMs: number;
}

/**
 * The certificates of an identity without those that ended before a time. The newest one always stays: it shows when
 * an identity was last enrolled.
 */
export function withoutEnded(
  certificates: readonly CertificateRecord[],
  endedBeforeMs: number,
): readonly CertificateRecord[] {
  const newest = certificates.at(-1);
  return certificates.filter((one) => one === newest || one.notAfterMs > endedBeforeMs);
}

/**
 * Prunes at most 20,000 identities.
 *
 * @param isStopped whether to end early
 * @returns how many certificates were removed
 * @throws FlotillaError `registry-unavailable`
 */
export async function pruneCertificates(
  { registry, clock, keepMs }: PruningDeps,
  isStopped: () => boolean,
): Promise<number> {
  const endedBeforeMs = clock.now() - keepMs;
  const found: Stored<DeviceRecord>[] = [];
  for await (const row of registry.rows('devices')) {
    if (isStopped() || found.length >= devicesPerRunMax) break;
    if (withoutEnded(row.certificates, endedBeforeMs).length < row.certificates.length)
      found.push(row);
  }
  let pruned = 0;
  for (let at = 0; at < found.length && !isStopped(); at += devicesPerCommit) {
    pruned += await pruneSome(found.slice(at, at + devicesPerCommit), endedBeforeMs, registry);
  }
  return pruned;
}

async function pruneSome(
  rows: readonly Stored<DeviceRecord>[],
  endedBeforeMs: number,
  registry: Registry,
): Promise<number> {
  let pruned = 0;
  const puts: Put[] = [];
  const events = rows.map(({ version, ...row }) => {
    const certificates = withoutEnded(row.certificates, endedBeforeMs);
    const gone = row.certificates.filter((one) => !certificates.includes(one));
    pruned += gone.length;
    puts.push({ table: 'devices', record: { ...row, certificates }, expected: version });
    const serials = gone.map(({ serial }) => serial).join(' ');
    return {
      action: 'certificates-pruned',
      actor: 'system',
      device: row.id,
      detail: { serials },
    } as const;
  });
  try {
    await registry.commit({ puts, events });
    return pruned;
  } catch (error) {
    // One of them has changed: the next run takes them.
    if (isFlotillaError(error, 'registry-conflict')) return 0;
    throw error;
  }
}
