/**
 * Enrolls or renews many devices, a few at a time.
 *
 * @module
 */
import { isFlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { EnrollmentClient } from '../credentials/enrollment-client.ts';
import type { DeviceCredential } from '../device/credential.ts';
import type { SimDevice } from '../device/sim-device.ts';
import type { CounterName } from '../measure/meter.ts';
import type { EnrollParams, EnrollResult, ParamsOf, SetupParams } from './protocol.ts';
import type { WorkerContext } from './worker-context.ts';

type Service = NonNullable<SetupParams['enroll']>;
type Failures = EnrollResult['failed'];

/** Concurrent renewals of one worker. */
const renewConcurrency = 16;

/** Devices enroll with their tokens. Failures are returned, not thrown. */
export async function enrollRound(
  work: WorkerContext,
  service: Service,
  devices: readonly SimDevice[],
  { tokens, atMs, concurrency }: EnrollParams,
): Promise<EnrollResult> {
  const keys: string[] = [];
  const failed = await runRound(work, service, devices, {
    name: 'enroll',
    done: 'enrolled',
    failed: 'enrollFailed',
    atMs,
    concurrency,
    issue: ({ id, group }, place, enroller, onRetry) =>
      enroller.enroll(id, group.keyType, tokens[place] ?? '', onRetry),
    onAdopted: (_device, { keyFingerprint }) => {
      keys.push(keyFingerprint);
    },
    onFailed: (device) => {
      device.state = 'failed';
    },
  });
  return { failed, keys };
}

/**
 * Devices renew their certificates and reconnect with the new ones. Devices without a certificate are
 * skipped.
 */
export async function renewRound(
  work: WorkerContext,
  service: Service,
  devices: readonly SimDevice[],
  { atMs, rekey, onlyDue }: ParamsOf<'renew'>,
): Promise<{ readonly failed: Failures; readonly notDue: number }> {
  let notDue = 0;
  const failed = await runRound(work, service, devices, {
    name: 'renew',
    done: 'renewed',
    failed: 'renewFailed',
    atMs,
    concurrency: renewConcurrency,
    issue: async ({ credential, group }, _place, enroller, onRetry) => {
      if (credential === undefined) return undefined;
      if (onlyDue && !(await enroller.isDue(credential, onRetry))) {
        notDue++;
        return undefined;
      }
      return await enroller.renew(credential, group.keyType, rekey, onRetry);
    },
    onAdopted: (device) => device.dropConnection('clean'),
    onFailed: () => undefined,
  });
  return { failed, notDue };
}

interface CertificateRound {
  /** The name of the timer, and the prefix of failures. */
  readonly name: 'enroll' | 'renew';
  readonly done: CounterName;
  readonly failed: CounterName;
  /** When each device starts; undefined: as soon as possible. */
  readonly atMs: EnrollParams['atMs'];
  readonly concurrency: number;
  /** Resolves with undefined to skip the device. */
  readonly issue: (
    device: SimDevice,
    place: number,
    enroller: EnrollmentClient,
    onRetry: () => void,
  ) => Promise<DeviceCredential | undefined>;
  readonly onAdopted: (device: SimDevice, credential: DeviceCredential) => void;
  readonly onFailed: (device: SimDevice) => void;
}

async function runRound(
  work: WorkerContext,
  service: Service,
  devices: readonly SimDevice[],
  {
    name,
    done,
    failed: failedCount,
    atMs,
    concurrency,
    issue,
    onAdopted,
    onFailed,
  }: CertificateRound,
): Promise<Failures> {
  const { meter } = work;
  const enroller = new EnrollmentClient(service.url, service.ca, concurrency);
  const failed: { device: number; reason: string }[] = [];
  const waiting = devices.entries();
  const runNext = async (): Promise<void> => {
    for (const [place, device] of waiting) {
      if (work.halted) return;
      const dueMs = atMs === undefined ? undefined : work.clock.toLocalMs(atMs[place] ?? 0);
      if (dueMs !== undefined) await work.until(dueMs);
      const startMs = dueMs ?? performance.now();
      try {
        const credential = await issue(device, place, enroller, () => meter.count('enrollRetried'));
        if (credential === undefined) continue;
        device.adopt(credential);
        meter.count(done);
        meter.time(name, (performance.now() - startMs) * 1000);
        onAdopted(device, credential);
      } catch (error) {
        const reason = isFlotillaError(error) ? error.code : messageOf(error);
        onFailed(device);
        failed.push({ device: device.number, reason });
        meter.count(failedCount);
        meter.fail(`${name}: ${reason}`);
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(concurrency, devices.length) }, runNext));
  } finally {
    enroller.close();
  }
  return failed;
}
