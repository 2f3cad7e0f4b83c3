/**
 * The veto hook: an HTTPS request to the operator's own system before a device is enrolled. It may refuse the
 * enrollment, or add a group and attributes.
 *
 * The request is a POST of JSON ({@link HookQuestion}) with `X-Flotilla-Signature: t=<seconds>,v1=<hex>`,
 * where the hexadecimal digits are HMAC-SHA256, with the secret, over `<seconds>.<body>`. The response is
 * {@link hookAnswerSchema}. Any other response, and a timeout, is a failure; the configuration decides what a
 * failure means.
 *
 * @module
 */
import { createHmac } from 'node:crypto';
import { rootCertificates } from 'node:tls';
import { z } from 'zod';
import type { Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import { readSetting } from '../../core/config/setting-file.ts';
import { plainText } from '../../core/protocol/plain-text.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { callHttps } from '../../core/protocol/https-client.ts';
import type { Logger } from '../../core/log.ts';
import { RateLimiter } from '../../core/rate-limiter.ts';

/** Log lines about failures, which a device can cause as often as it tries to enroll. */
const linesPerMinute = 10;

export interface HookQuestion {
  readonly event: 'enroll';
  readonly device: string;
  readonly group: string | null;
  readonly profile: string;
  /** What authorizes the enrollment: `token`, `factory`, `approval`. */
  readonly way: string;
  readonly keyFingerprint: string;
  readonly remoteAddress: string;
}

export const hookAnswerSchema = z.object({
  allow: z.boolean(),
  reason: z.string().max(256).optional(),
  group: plainText(1, 128).optional(),
  attributes: z.record(plainText(1, 64), plainText(0, 256)).optional(),
});

/** What the hook adds to the identity. */
export interface HookVerdict {
  readonly group?: string | undefined;
  readonly attributes: Readonly<Record<string, string>>;
}

export type VetoHook = (question: HookQuestion) => Promise<HookVerdict>;

const nothingAdded: HookVerdict = { attributes: {} };
const answerMaxBytes = 64 * 1024;

/** The value of the signature header for a body. */
export function hookSignature(secret: string, seconds: number, body: string): string {
  const mac = createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex');
  return `t=${seconds},v1=${mac}`;
}

/**
 * The hook of the configuration. Without one, every enrollment is allowed.
 *
 * @throws FlotillaError `config-unreadable`, `file-too-open` when its files cannot be used
 */
export async function openHook(config: Config, clock: Clock, log: Logger): Promise<VetoHook> {
  const { hook } = config.enroll;
  if (hook === undefined) return () => Promise.resolve(nothingAdded);
  const lines = new RateLimiter(clock, linesPerMinute, 60_000);
  const secret = (await readSetting(hook.secretFile, 'secret')).trim();
  const ca =
    hook.caFile === undefined
      ? rootCertificates.join('\n')
      : await readSetting(hook.caFile, 'public');
  return async (question) => {
    const body = JSON.stringify(question);
    const seconds = Math.floor(clock.now() / 1000);
    let verdict: z.infer<typeof hookAnswerSchema>;
    try {
      const answer = await withDeadline(
        callHttps({
          method: 'POST',
          url: hook.url,
          ca,
          headers: {
            'content-type': 'application/json',
            'x-flotilla-signature': hookSignature(secret, seconds, body),
          },
          body,
          server: 'any',
          timeoutMs: hook.timeout,
        }),
        hook.timeout,
        clock,
      );
      if (answer.status !== 200 || answer.body.length > answerMaxBytes) {
        throw new Error(`status ${answer.status}`);
      }
      verdict = hookAnswerSchema.parse(JSON.parse(answer.body.toString('utf8')));
    } catch (error) {
      const { device } = question;
      if (lines.take('') === 0) log.warn({ device, err: error }, 'the veto hook failed');
      if (hook.onFailure === 'allow') return nothingAdded;
      throw new FlotillaError('hook-failed', { retryAfterSeconds: 30, cause: error });
    }
    if (!verdict.allow) {
      const { reason } = verdict;
      throw new FlotillaError('hook-refused', reason === undefined ? {} : { detail: reason });
    }
    return { group: verdict.group, attributes: verdict.attributes ?? {} };
  };
}

/** The timeout applies to the whole response, even if it arrives byte by byte. */
function withDeadline<T>(work: Promise<T>, ms: number, clock: Clock): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(ms, () => reject(new Error('no answer in time')));
    work.then(resolve, reject).finally(cancel);
  });
}
