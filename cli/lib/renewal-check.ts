/**
 * One check of an identity folder: renews its certificate if that is due.
 *
 * @module
 */
import { readCertificate } from '../../certs/certificate.ts';
import { isFlotillaError } from '../../core/errors/flotilla-error.ts';
import { loadIdentity, type IdentityContent } from '../../core/identity-folder.ts';
import { isHookDue } from './hook-record.ts';
import { renewIdentity, type RenewalOptions } from './identity-renewal.ts';
import { renewalTimeMs } from './renewal-schedule.ts';
import { suggestedRenewalMs } from './suggested-renewal.ts';

export interface RenewalCheck {
  readonly device: string;
  readonly renewed: boolean;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** When the next renewal is due, or when the service accepts one. */
  readonly nextCheckAtMs: number;
  /** Whether the service refused the renewal as too early and named the time. */
  readonly isDeferred: boolean;
  /** Whether the program after a renewal has to run, also if an earlier check has renewed. */
  readonly isHookDue: boolean;
}

/**
 * Renews the certificate if its time has come, or if a renewal was interrupted.
 *
 * @throws FlotillaError as {@link renewIdentity}, except `renewal-too-early`: that is no failure
 */
export async function renewIfDue(options: RenewalOptions, nowMs: number): Promise<RenewalCheck> {
  const { dir } = options;
  const before = await loadIdentity(dir);
  const dueAtMs = await suggestedRenewalMs(options, before, nowMs);
  const { fingerprint } = readCertificate(before.cert);
  try {
    const renewed = await renewIdentity(options, (facts) =>
      // Another process may have renewed it meanwhile.
      facts.fingerprint === fingerprint ? nowMs >= dueAtMs : nowMs >= renewalTimeMs(facts),
    );
    const now = await loadIdentity(dir);
    const nextAtMs =
      now.cert === before.cert ? dueAtMs : await suggestedRenewalMs(options, now, nowMs);
    return await checked(dir, now, { renewed: renewed !== undefined, nextCheckAtMs: nextAtMs });
  } catch (error) {
    if (!isFlotillaError(error) || error.code !== 'renewal-too-early') throw error;
    const nextCheckAtMs = nowMs + (error.retryAfterSeconds ?? 3600) * 1000;
    return await checked(dir, before, { nextCheckAtMs, isDeferred: true });
  }
}

/** What the folder contains now, without a renewal. @throws FlotillaError `identity-unreadable` */
export async function readCheck(dir: string): Promise<RenewalCheck> {
  const identity = await loadIdentity(dir);
  return checked(dir, identity, { nextCheckAtMs: renewalTimeMs(readCertificate(identity.cert)) });
}

/** The document that the commands print. */
export function checkDocument(check: RenewalCheck): {
  device: string;
  renewed: boolean;
  notAfter: string;
  nextCheckAt: string;
} {
  return {
    device: check.device,
    renewed: check.renewed,
    notAfter: new Date(check.notAfterMs).toISOString(),
    nextCheckAt: new Date(check.nextCheckAtMs).toISOString(),
  };
}

async function checked(
  dir: string,
  { cert }: IdentityContent,
  found: Pick<RenewalCheck, 'nextCheckAtMs'> &
    Partial<Pick<RenewalCheck, 'renewed' | 'isDeferred'>>,
): Promise<RenewalCheck> {
  const { commonName, notBeforeMs, notAfterMs, fingerprint } = readCertificate(cert);
  return {
    device: commonName.ok ? commonName.id : '',
    ...{ renewed: false, isDeferred: false, notBeforeMs, notAfterMs },
    ...found,
    isHookDue: await isHookDue(dir, fingerprint),
  };
}
