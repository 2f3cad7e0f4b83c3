/**
 * CMP, the certificate management protocol, in its Lightweight profile (RFC 9483; RFC 4210, RFC 9480, RFC 9481).
 *
 * Each message is verified before anything else of it is used: protection, then time, then transaction and nonces. What
 * may be issued is decided where EST and the JSON API decide it, in enroll/enrollment; nothing is granted here.
 *
 * | body | sender | effect |
 * |---|---|---|
 * | ir, cr, p10cr | token (MAC), factory certificate | enrollment |
 * | cr, p10cr, kur | current certificate | renewal |
 * | certConf, pollReq | who began the transaction | confirmation; a request that waited is decided |
 * | rr | current certificate | revocation, if `enroll.cmp.revocation` allows it |
 * | genm | any of these | CA certificates |
 *
 * @module
 */
import { cmpBodies, parseCmp, type CmpBodyName, type CmpMessage } from '../../certs/cmp-message.ts';
import { confirmationReply, errorReply } from '../../certs/cmp-body.ts';
import type { Clock } from '../../core/clock.ts';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { addressPrefix } from '../../core/ip-address.ts';
import { RateLimiter } from '../../core/rate-limiter.ts';
import type { BoundedRefusals } from '../audit/bounded-refusals.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import { cmpFailureOf } from './cmp-failures.ts';
import { generalInformation } from './cmp-information.ts';
import { CmpRequests, type CmpReply, type CmpRequestsDeps } from './cmp-requests.ts';
import { revokeOwn, type OwnRevocationDeps } from './cmp-revocation.ts';
import { CmpReplies } from './cmp-replies.ts';
import { cmpSender, type CmpSender, type CmpSenderDeps } from './cmp-sender.ts';

/** How far the time of a message may be from ours: devices without a battery for their clock are late. */
const timeDifferenceMaxMs = 15 * 60_000;
/** The part of the signatures of a second that refusals for one source can cost. */
const sourceShare = 0.1;

export interface CmpServiceDeps extends CmpSenderDeps, CmpRequestsDeps, OwnRevocationDeps {
  readonly ca: CertificateAuthority;
  readonly clock: Clock;
  /** Audit lines about refused messages. */
  readonly refused: Pick<BoundedRefusals, 'append'>;
}

export interface CmpCall {
  readonly body: Buffer;
  /** An enrollment profile that was requested by the path. */
  readonly profile: string | undefined;
  readonly remoteAddress: string;
  /** Logs a refusal and counts it for the limit of its address. Returns the error that the client gets. */
  readonly note: (thrown: unknown) => FlotillaError;
}

/** Refusals that enrollment, renewal and revocation do not write to the audit log themselves. */
const auditedHere: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'cmp-protection-missing',
  'cmp-protection-invalid',
  'cmp-algorithm-refused',
  'cmp-time-refused',
  'cmp-transaction-unknown',
  'cmp-transaction-used',
  'cmp-certificate-mismatch',
  'cmp-revocation-refused',
  'token-invalid',
  'token-expired',
  'client-certificate-untrusted',
  'client-certificate-withdrawn',
  'csr-signature-invalid',
  'operation-refused',
]);

export class CmpService {
  readonly #deps: CmpServiceDeps;
  readonly #requests: CmpRequests;
  readonly #replies: CmpReplies;
  /** Refusals that are signed for each source without an accepted credential. */
  readonly #refusals: RateLimiter;

  constructor(deps: CmpServiceDeps) {
    this.#deps = deps;
    this.#requests = new CmpRequests(deps);
    this.#replies = new CmpReplies(deps);
    const { signaturesPerSecond } = deps.config.limits.enroll;
    const perSource = Math.max(1, signaturesPerSecond * sourceShare);
    this.#refusals = new RateLimiter(deps.clock, perSource, 1000);
  }

  /**
   * The response to a message, DER. A refusal is a response as well.
   *
   * @throws FlotillaError `cmp-malformed`, `cmp-version-refused`: there is no message to respond to;
   *   `too-many-requests`
   */
  async answer(call: CmpCall): Promise<Buffer> {
    const message = parseCmp(call.body);
    let sender: CmpSender | undefined;
    try {
      sender = await cmpSender(message, this.#deps);
      this.#assertTime(message);
      const reply = await this.#decide(message, sender, call);
      return await this.#replies.encode(message, sender, reply);
    } catch (thrown) {
      const error = call.note(thrown);
      await this.#audit(error, sender, call);
      // Anybody can send a message that is refused; the response costs a signature of the CA.
      const retryAfterSeconds =
        sender === undefined ? this.#refusals.take(addressPrefix(call.remoteAddress)) : 0;
      if (retryAfterSeconds > 0)
        throw new FlotillaError('too-many-requests', { retryAfterSeconds });
      const reply = refusal(error, sender !== undefined);
      return this.#replies.encode(message, sender, reply);
    }
  }

  /** RFC 9483, 3.5. A message without a time is accepted: nonces and transactions protect it as well. */
  #assertTime({ header: { timeMs } }: CmpMessage): void {
    if (timeMs === undefined) return;
    const differenceMs = Math.abs(this.#deps.clock.now() - timeMs);
    if (differenceMs <= timeDifferenceMaxMs) return;
    throw new FlotillaError('cmp-time-refused', {
      detail: `the message is from ${new Date(timeMs).toISOString()}`,
    });
  }

  async #decide(message: CmpMessage, sender: CmpSender, call: CmpCall): Promise<CmpReply> {
    const { bodyName } = message;
    switch (bodyName) {
      case 'ir':
      case 'cr':
      case 'p10cr':
      case 'kur':
        return this.#requests.request({ ...message, bodyName }, sender, call);
      case 'pollReq':
        return this.#requests.poll(message, sender, call);
      case 'certConf':
        await this.#requests.confirm(message, sender);
        return { body: 'pkiconf', value: confirmationReply };
      case 'rr':
        return { body: 'rp', value: await revokeOwn(message, sender, this.#deps) };
      case 'genm':
        return { body: 'genp', value: generalInformation(message, this.#deps.ca) };
      default:
        throw new FlotillaError('operation-refused', { detail: unsupported(bodyName) });
    }
  }

  async #audit(error: FlotillaError, sender: CmpSender | undefined, call: CmpCall): Promise<void> {
    if (!auditedHere.has(error.code)) return;
    const device = sender?.kind === 'identity' ? sender.row.id : undefined;
    await this.#deps.refused.append({
      action: 'enrollment-refused',
      actor: device ?? (sender?.kind === 'token' ? sender.name : 'anonymous'),
      ...(device === undefined ? {} : { device }),
      remoteAddress: call.remoteAddress,
      detail: { code: error.code, via: 'cmp' },
    });
  }
}

/** @param isKnown whether the sender has authenticated: others learn the code only */
function refusal(error: FlotillaError, isKnown: boolean): CmpReply {
  const { title } = error.spec;
  const detail = isKnown && error.detail !== undefined ? `: ${error.detail}` : '';
  const text = `${error.code}: ${title}${detail}`;
  return { body: 'error', value: errorReply(text, cmpFailureOf(error)) };
}

function unsupported(name: CmpBodyName | undefined): string {
  return name === undefined
    ? 'this kind of CMP message is not supported'
    : `a service gets no CMP message of type ${cmpBodies[name]}`;
}
