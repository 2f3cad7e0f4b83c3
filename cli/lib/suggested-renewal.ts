/**
 * When a certificate is due for renewal. The service names the time (`GET /v1/renewal-info`); the answer is
 * kept in the folder for as long as the service says. Without an answer, the lifetime decides.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { readCertificate, type CertificateFacts } from '../../certs/certificate.ts';
import { writeFileAtomic } from '../../core/atomic-file.ts';
import type { IdentityContent } from '../../core/identity-folder.ts';
import { renewalInfoSchema } from '../../core/protocol/enrollment-api.ts';
import { callJson } from '../../core/protocol/https-client.ts';
import { readOrigin, serviceUrl } from './enrollment-origin.ts';
import { renewalTimeMs } from './renewal-schedule.ts';

const answerTimeoutMs = 10_000;
/** The bounds of the time for which an answer is used. */
const keptMinMs = 60_000;
const keptMaxMs = 24 * 3_600_000;

const suggestionSchema = z.object({
  /** Of the certificate. */
  fingerprint: z.string(),
  renewAtMs: z.number(),
  askedAtMs: z.number(),
  askAgainAtMs: z.number(),
});
type Suggestion = z.infer<typeof suggestionSchema>;

export interface SuggestedRenewalOptions {
  readonly dir: string;
  readonly url?: string;
}

/**
 * The time at which the identity's certificate should be renewed, in ms since 1970. It never fails: without
 * the service, the last answer or else two thirds of the lifetime decide.
 */
export async function suggestedRenewalMs(
  options: SuggestedRenewalOptions,
  identity: IdentityContent,
  nowMs: number,
): Promise<number> {
  const facts = readCertificate(identity.cert);
  const path = join(options.dir, '.renewal-info.json');
  const kept = await readSuggestion(path, facts);
  const isRecent = kept !== undefined && kept.askedAtMs <= nowMs && nowMs < kept.askAgainAtMs;
  if (isRecent) return kept.renewAtMs;
  const made = await ask(options, identity, facts, nowMs).catch(() => undefined);
  if (made === undefined) return kept?.renewAtMs ?? renewalTimeMs(facts);
  // A folder that cannot be written now is asked for again.
  await writeFileAtomic(path, JSON.stringify(made)).catch(() => undefined);
  return made.renewAtMs;
}

async function ask(
  options: SuggestedRenewalOptions,
  { ca, chain, key, enrollment }: IdentityContent,
  facts: CertificateFacts,
  nowMs: number,
): Promise<Suggestion> {
  const url = new URL('/v1/renewal-info', serviceUrl(options.url, readOrigin(enrollment))).href;
  const call = { method: 'GET' as const, url, ca, cert: chain, key, timeoutMs: answerTimeoutMs };
  const { renewInSeconds, retryAfterSeconds } = await callJson(call, renewalInfoSchema);
  // The difference is used, not the time, because the clock of the device may be wrong.
  const renewAtMs = nowMs + renewInSeconds * 1000;
  const keptMs = Math.max(keptMinMs, Math.min(keptMaxMs, retryAfterSeconds * 1000));
  return {
    fingerprint: facts.fingerprint,
    // A renewal after the end would depend on the grace period.
    renewAtMs: renewAtMs < facts.notAfterMs ? renewAtMs : renewalTimeMs(facts),
    askedAtMs: nowMs,
    askAgainAtMs: nowMs + keptMs,
  };
}

async function readSuggestion(
  path: string,
  { fingerprint }: CertificateFacts,
): Promise<Suggestion | undefined> {
  try {
    const kept = suggestionSchema.parse(JSON.parse(await readFile(path, 'utf8')));
    return kept.fingerprint === fingerprint ? kept : undefined;
  } catch {
    return undefined;
  }
}
