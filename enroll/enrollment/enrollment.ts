/**
 * Enrollment: how a device gets its first certificate, or a new first one after it lost its key.
 *
 * A request is authorised by a token, by a factory certificate, or by an operator who was asked.
 * From there on it is one path: names and key are checked, the veto hook is asked, the certificate is
 * issued, and everything that changes is one commit, so that no token ever gives two certificates.
 * A repeated request, byte for byte, gets the same certificate for a while: answers get lost.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { parseCsr, type Csr } from '../../certs/csr.ts';
import { assertFitsCommonName } from '../../certs/distinguished-name.ts';
import type { Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import { type DeviceId, isDeviceId } from '../../core/device-id.ts';
import { printable } from '../../core/escape.ts';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import { FlotillaError, isFlotillaError } from '../../core/errors/flotilla-error.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import { newIdentity } from '../registry/device-rows.ts';
import type { DeviceRecord, RequestRecord, TokenRecord } from '../registry/records.ts';
import { retryOnConflict, type Change, type Registry, type Stored } from '../registry/registry.ts';
import { approvingRule } from './approval-rules.ts';
import { assertKeyFree, assertKeyType, assertNames } from './csr-checks.ts';
import type { FactoryAuthorization } from './factories.ts';
import { replay, replayKey, type IssuedAnswer } from './issue-result.ts';
import type { CertificateIssuer } from './certificate-issuer.ts';
import { profileOf, type EnrollmentProfile } from './profiles.ts';
import { tokenName, type Tokens } from './tokens.ts';
import type { VetoHook } from './veto-hook.ts';

export interface EnrollmentDeps {
  readonly registry: Registry;
  readonly audit: AuditLog;
  readonly ca: CertificateAuthority;
  readonly config: Config;
  readonly clock: Clock;
  readonly issuing: CertificateIssuer;
  readonly tokens: Tokens;
  readonly hook: VetoHook;
}

export interface EnrollRequest {
  readonly csr: Uint8Array | string;
  /** Who it says it is; the CSR's common name when absent. */
  readonly device?: DeviceId;
  readonly token?: string;
  readonly factory?: FactoryAuthorization;
  /** An enrollment profile that was asked for by name. */
  readonly profile?: string;
  readonly remoteAddress: string;
}

export type EnrollOutcome =
  | { readonly kind: 'issued'; readonly answer: IssuedAnswer }
  | { readonly kind: 'pending'; readonly request: string; readonly retryAfterSeconds: number };

/** What lets an identity in, after it was checked. */
interface Warrant {
  readonly way: 'token' | 'factory' | 'approval';
  /** For the audit log. */
  readonly actor: string;
  readonly answerKey: string;
  readonly group: string | null;
  readonly profile: EnrollmentProfile;
  /** Whether it may give a certificate to an identity that has one. */
  readonly reenrolls: boolean;
  /** What is used up. */
  readonly change: Change;
}

/** Refusals that somebody should look at. */
const alarming: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'token-used',
  'token-wrong-device',
  'key-in-use',
  'key-blocked',
  'device-exists',
  'device-suspended',
  'device-revoked',
  'hook-refused',
  'hook-failed',
  'factory-certificate-refused',
]);

export class Enrollment {
  readonly #deps: EnrollmentDeps;

  constructor(deps: EnrollmentDeps) {
    this.#deps = deps;
  }

  /**
   * Decides one request.
   *
   * @throws FlotillaError `credentials-required`, `token-…`, `csr-…`, `key-…`, `device-…`,
   *   `profile-not-found`, `enrollment-denied`, `hook-refused`, `hook-failed`, `too-many-requests`,
   *   `registry-unavailable`; then nothing was issued
   */
  async enroll(request: EnrollRequest): Promise<EnrollOutcome> {
    const { token } = request;
    // Who has no credential learns nothing, and costs no signature check.
    if (token !== undefined) await this.#deps.tokens.find(token);
    else if (request.factory === undefined && !this.#deps.config.enroll.approval.enabled) {
      throw new FlotillaError('credentials-required');
    }
    const csr = parseCsr(request.csr);
    const device = request.device ?? deviceOf(csr);
    assertFitsCommonName(device);
    try {
      return await retryOnConflict(() => this.#decide(request, csr, device));
    } catch (error) {
      if (isFlotillaError(error) && alarming.has(error.code)) {
        await this.#deps.audit.append({
          action: error.code.startsWith('token-') ? 'token-refused' : 'enrollment-refused',
          actor: await this.#actorOf(request),
          device,
          remoteAddress: request.remoteAddress,
          detail: { code: error.code, key: csr.keyFingerprint },
        });
      }
      throw error;
    }
  }

  async #decide(request: EnrollRequest, csr: Csr, device: DeviceId): Promise<EnrollOutcome> {
    const { registry, ca, clock, hook, issuing } = this.#deps;
    const authority = await this.#authority(request, csr, device);
    const before = await registry.get('answers', replayKey(authority, csr.der));
    if (before !== undefined && before.expiresAtMs > clock.now() && before.device === device) {
      const again = replay(before, ca);
      if (again !== undefined) {
        await registry.settled();
        return { kind: 'issued', answer: again };
      }
    }
    assertNames(csr, device);
    const row = await registry.get('devices', device);
    const authorization = await this.#warrant(request, csr, device, row, authority);
    if ('kind' in authorization) return authorization;
    assertKeyType(csr, authorization.profile);
    assertState(row, authorization);
    // Before the hook hears of it: what cannot be issued is not worth a question.
    await assertKeyFree(csr, device, registry, ca);
    const group = authorization.group ?? authorization.profile.group ?? row?.group ?? null;
    const added = await hook({
      event: 'enroll',
      device,
      group,
      profile: authorization.profile.name,
      way: authorization.way,
      keyFingerprint: csr.keyFingerprint,
      remoteAddress: request.remoteAddress,
    });
    const known: DeviceRecord =
      row ?? newIdentity({ id: device, role: 'device', createdAtMs: clock.now() });
    const answer = await issuing.issue({
      csr,
      row: {
        ...known,
        status: 'active',
        group: added.group ?? group,
        attributes: {
          ...authorization.profile.attributes,
          ...known.attributes,
          ...added.attributes,
        },
        profile: authorization.profile.name,
      },
      expected: row?.version ?? 0,
      profile: 'device',
      validityMs: authorization.profile.validityMs,
      answerKey: authorization.answerKey,
      change: authorization.change,
      event: {
        action: 'certificate-issued',
        actor: authorization.actor,
        remoteAddress: request.remoteAddress,
        detail: { way: authorization.way, profile: authorization.profile.name },
      },
    });
    return { kind: 'issued', answer };
  }

  /** What answers to this request are remembered under. */
  async #authority(request: EnrollRequest, csr: Csr, device: DeviceId): Promise<string> {
    if (request.token !== undefined)
      return tokenAuthority(await this.#deps.tokens.find(request.token));
    if (request.factory !== undefined) return `factory:${request.factory.fingerprint}`;
    return `request:${requestId(csr, device)}`;
  }

  async #warrant(
    request: EnrollRequest,
    csr: Csr,
    device: DeviceId,
    row: Stored<DeviceRecord> | undefined,
    authority: string,
  ): Promise<Warrant | EnrollOutcome> {
    const key = replayKey(authority, csr.der);
    if (request.token !== undefined) {
      const token = await this.#deps.tokens.find(request.token);
      return this.#tokenWarrant(token, device, request.profile, key);
    }
    const { factory } = request;
    if (factory !== undefined) {
      if (factory.device !== device) {
        throw new FlotillaError('factory-certificate-refused', {
          detail: `it is for ${factory.device}`,
        });
      }
      if (!factory.factory.approval) {
        return {
          way: 'factory',
          actor: `factory:${factory.factory.name}:${factory.serial}`,
          answerKey: key,
          group: factory.factory.group,
          profile: this.#profile(factory.factory.profile, request.profile),
          reenrolls: true,
          change: {},
        };
      }
    }
    return this.#approvalWarrant(request, csr, device, row, key);
  }

  #tokenWarrant(
    token: Stored<TokenRecord>,
    device: DeviceId,
    profile: string | undefined,
    key: string,
  ): Warrant {
    if (token.device !== null && token.device !== device) {
      throw new FlotillaError('token-wrong-device');
    }
    if (token.uses >= token.usesMax) throw new FlotillaError('token-used');
    const { version, ...record } = token;
    return {
      way: 'token',
      actor: tokenName(token.hash),
      answerKey: key,
      group: token.group,
      profile: this.#profile(token.profile, profile),
      reenrolls: token.device !== null,
      change: {
        puts: [{ table: 'tokens', record: { ...record, uses: token.uses + 1 }, expected: version }],
      },
    };
  }

  async #approvalWarrant(
    request: EnrollRequest,
    csr: Csr,
    device: DeviceId,
    row: Stored<DeviceRecord> | undefined,
    key: string,
  ): Promise<Warrant | EnrollOutcome> {
    const { registry, config, clock } = this.#deps;
    const { approval } = config.enroll;
    const id = requestId(csr, device);
    const retryAfterSeconds = Math.max(1, Math.round(approval.retryAfter / 1000));
    const profile = this.#profile(request.factory?.factory.profile ?? null, request.profile);
    const found = await registry.get('requests', id);
    const known = found !== undefined && found.expiresAtMs > clock.now() ? found : undefined;
    if (known?.status === 'pending') {
      await registry.settled();
      return { kind: 'pending', request: id, retryAfterSeconds };
    }
    if (known?.status === 'denied') throw new FlotillaError('enrollment-denied');
    const authorization = (actor: string, change: Change): Warrant => ({
      way: 'approval',
      actor,
      answerKey: key,
      group: known?.group ?? request.factory?.factory.group ?? null,
      profile,
      reenrolls: true,
      change,
    });
    if (known !== undefined) {
      return authorization(known.decidedBy ?? 'system', {
        deletions: [{ table: 'requests', key: id, expected: known.version }],
      });
    }
    const factory = request.factory?.factory.name ?? null;
    const isNew = row === undefined || row.status === 'pending';
    const rule = isNew
      ? approvingRule(approval.autoApprove, {
          device,
          remoteAddress: request.remoteAddress,
          factory,
        })
      : undefined;
    if (rule !== undefined) return authorization(`rule:${rule}`, {});
    assertKeyType(csr, profile);
    await assertKeyFree(csr, device, registry, this.#deps.ca);
    if ((await registry.count('requests')) >= config.limits.enroll.requestsPendingMax) {
      throw new FlotillaError('too-many-requests', { retryAfterSeconds: 60 });
    }
    const record: RequestRecord = {
      id,
      device,
      csr: csr.der.toString('base64'),
      keyFingerprint: csr.keyFingerprint,
      remoteAddress: request.remoteAddress,
      profile: profile.name,
      factory:
        request.factory === undefined
          ? null
          : { name: request.factory.factory.name, serial: request.factory.serial },
      status: 'pending',
      receivedAtMs: clock.now(),
      expiresAtMs: clock.now() + approval.expiry,
      group: null,
      decidedBy: null,
    };
    await registry.commit({
      puts: [{ table: 'requests', record, expected: found?.version ?? 0 }],
      events: [
        {
          action: 'enrollment-requested',
          actor: factory === null ? 'anonymous' : `factory:${factory}`,
          device,
          remoteAddress: request.remoteAddress,
          detail: { request: id, key: csr.keyFingerprint },
        },
      ],
    });
    return { kind: 'pending', request: id, retryAfterSeconds };
  }

  /** The profile that the credential names; a wish must agree with it. */
  #profile(given: string | null, wished: string | undefined): EnrollmentProfile {
    if (given !== null && wished !== undefined && given !== wished) {
      throw new FlotillaError('profile-not-found', {
        detail: `${printable(wished)}; this credential is for ${given}`,
      });
    }
    return profileOf(this.#deps.config, given ?? wished);
  }

  async #actorOf(request: EnrollRequest): Promise<string> {
    if (request.token !== undefined) {
      const token = await this.#deps.tokens.find(request.token).catch(() => undefined);
      return token === undefined ? 'token:unknown' : tokenName(token.hash);
    }
    const { factory } = request;
    return factory === undefined
      ? 'anonymous'
      : `factory:${factory.factory.name}:${factory.serial}`;
  }
}

function tokenAuthority(token: TokenRecord): string {
  return `token:${token.hash}`;
}

/** The same CSR for the same device is the same request. */
export function requestId(csr: Pick<Csr, 'der'>, device: DeviceId): string {
  return createHash('sha256')
    .update(device)
    .update('\0')
    .update(csr.der)
    .digest('hex')
    .slice(0, 32);
}

function deviceOf({ commonName }: Csr): DeviceId {
  if (commonName !== undefined && isDeviceId(commonName)) return commonName;
  throw new FlotillaError('csr-name-mismatch', { detail: 'no common name says who asks' });
}

function assertState(row: DeviceRecord | undefined, authorization: Warrant): void {
  if (row === undefined || row.status === 'pending') return;
  const { id, role, status } = row;
  if (role !== 'device') throw new FlotillaError('identity-role-conflict', { detail: id });
  if (status === 'suspended' || status === 'quarantined') {
    throw new FlotillaError('device-suspended', { detail: id });
  }
  if (status === 'revoked' && authorization.way === 'factory') {
    throw new FlotillaError('device-revoked', { detail: id });
  }
  if (!authorization.reenrolls) throw new FlotillaError('device-exists', { detail: id });
}
