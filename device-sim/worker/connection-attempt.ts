/**
 * One attempt to connect as a device while its own connection exists, for drills.
 *
 * @module
 */
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { LightLink } from '../device/light-link.ts';
import { LinkError } from '../device/link.ts';
import type { SimDevice } from '../device/sim-device.ts';
import type { AttemptParams, AttemptResult } from './protocol.ts';
import type { WorkerContext } from './worker-context.ts';

const attemptTimeoutMs = 5000;

/** @throws FlotillaError `sim-certificate-missing` when the device has no certificate */
export async function connectionAttempt(
  work: WorkerContext,
  device: SimDevice,
  { resume, clientId, holdMs }: AttemptParams,
): Promise<AttemptResult> {
  const { credential } = device;
  if (credential === undefined)
    throw new FlotillaError('sim-certificate-missing', { detail: device.id });
  const session = resume ? device.session : undefined;
  const link = new LightLink(
    {
      ...device.linkOptions(),
      kept: false,
      clientId: clientId ?? device.id,
      connectTimeoutMs: attemptTimeoutMs,
    },
    { message: () => undefined, closed: () => undefined },
  );
  const startMs = performance.now();
  const offered = { resumeOffered: session !== undefined };
  try {
    const { timing } = await link.connect({
      ...device.dialOptions(credential),
      session,
      onSession: undefined,
    });
    const elapsedMs = performance.now() - startMs;
    await work.pause(holdMs);
    const stayed = link.online;
    link.destroy();
    return {
      outcome: 'accepted',
      reason: stayed ? 'accepted' : 'accepted, then closed',
      ...offered,
      resumed: timing.resumed,
      elapsedMs,
    };
  } catch (error) {
    const reason = error instanceof LinkError ? error.reason : messageOf(error);
    const elapsedMs = performance.now() - startMs;
    const resumed = error instanceof LinkError && error.resumed;
    return { outcome: 'refused', reason, ...offered, resumed, elapsedMs };
  }
}
