/**
 * Enrollment: how a device gets its first certificate, or another first one after it has lost its key.
 *
 * A token, a factory certificate or an approval authorizes a request. The rest is the same for all: names and
 * key are checked, the veto hook is asked, the certificate is issued, and everything that changes is one
 * commit, so that no token ever yields two certificates. A repeated request, byte for byte, gets the same
 * certificate for a while, because responses can be lost.
 *
 * @module
 */
import { parsedCsr, type Csr } from '../../certs/csr.ts';
import { assertFitsCommonName } from '../../certs/distinguished-name.ts';
import { isEmptyNames, type SubjectNames } from '../../certs/subject-names.ts';
import type { Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import { isDeviceId, type DeviceId } from '../../core/device-id.ts';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import { FlotillaError, isFlotillaError } from '../../core/errors/flotilla-error.ts';
import type { AuditTrail } from '../audit/audit-trail.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import { assignedRole, withRole } from '../registry/assigned-role.ts';
import { newIdentity } from '../registry/device-rows.ts';
import type { DeviceRecord } from '../registry/records.ts';
import { assertNameFree } from '../registry/reserved-names.ts';
import { retryOnConflict, type Registry, type Stored } from '../registry/registry.ts';
import { ApprovalGate, type ApprovalRequest } from './approval-gate.ts';
import {
  agreedProfile,
  assertFactoryDevice,
  assertMayEnroll,
  authorizeFactory,
  authorizeToken,
  type Authorization,
} from './authorization.ts';
import type { CertificateIssuer } from './certificate-issuer.ts';
import {
  actorOf,
  replayKeyOf,
  requestId,
  resolveCredential,
  type Credential,
} from './credentials.ts';
import { assertCommonName, assertKeyType, CheckedCsr } from './csr-checks.ts';
import type { FactoryAuthorization } from './factories.ts';
import { findReplay, type IssueResult, type ReplaySlot } from './issue-result.ts';
import type { EnrollmentProfile } from './profiles.ts';
import { namesForEnrollment } from './server-name-rules.ts';
import type { ServiceNames } from './service-names.ts';
import type { Tokens } from './tokens.ts';
import type { VetoHook } from './veto-hook.ts';

export interface EnrollmentDeps {
  readonly registry: Registry;
  readonly audit: Pick<AuditTrail, 'append'>;
  readonly ca: CertificateAuthority;
  readonly config: Config;
  readonly clock: Clock;
  readonly issuing: CertificateIssuer;
  readonly tokens: Tokens;
  readonly hook: VetoHook;
  readonly serviceNames: ServiceNames;
}

export interface EnrollmentRequest {
  /** A parsed one has proved to have its key. */
  readonly csr: Uint8Array | string | Csr;
  /** Who it says it is (default: the CSR's common name). */
  readonly device?: DeviceId;
  readonly token?: string;
  readonly factory?: FactoryAuthorization;
  /** An enrollment profile that was requested by name. */
  readonly profile?: string;
  readonly remoteAddress: string;
}

export type EnrollOutcome =
  | { readonly kind: 'issued'; readonly result: IssueResult }
  | { readonly kind: 'pending'; readonly request: string; readonly retryAfterSeconds: number };

/** A request, parsed, with its credential. */
interface Attempt {
  readonly request: EnrollmentRequest;
  readonly csr: Csr;
  readonly device: DeviceId;
  readonly credential: Credential;
}

/** Refusals that are written to the audit log: an operator should look at them. */
const auditedRefusals: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
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
  'external-ca-refused',
  'external-ca-answer-refused',
]);

export class Enrollment {
  readonly #deps: EnrollmentDeps;
  readonly #approvals: ApprovalGate;

  constructor(deps: EnrollmentDeps) {
    this.#deps = deps;
    this.#approvals = new ApprovalGate(deps);
  }

  /**
   * Decides one request.
   *
   * @throws FlotillaError `credentials-required`, `token-…`, `csr-…`, `key-…`, `device-…`,
   *   `profile-not-found`, `enrollment-denied`, `hook-refused`, `hook-failed`, `too-many-requests`,
   *   `registry-unavailable`; then nothing was issued
   */
  async enroll(request: EnrollmentRequest): Promise<EnrollOutcome> {
    const { tokens, config } = this.#deps;
    // A client without a credential learns nothing, and costs no signature check.
    const first = await resolveCredential(request, tokens);
    if (first.kind === 'none' && !config.enroll.approval.enabled) {
      throw new FlotillaError('credentials-required');
    }
    const csr = parsedCsr(request.csr);
    const device = request.device ?? deviceOf(csr);
    assertFitsCommonName(device);
    await assertNameFree(device, 'device', this.#deps.registry);
    let unused: Credential | undefined = first;
    try {
      return await retryOnConflict(async () => {
        const credential = unused ?? (await resolveCredential(request, tokens));
        unused = undefined;
        return this.#decide({ request, csr, device, credential });
      });
    } catch (error) {
      await this.#auditRefusal(error, { request, csr, device, credential: first });
      throw error;
    }
  }

  async #auditRefusal(
    error: unknown,
    { request, csr, device, credential }: Attempt,
  ): Promise<void> {
    if (!isFlotillaError(error) || !auditedRefusals.has(error.code)) return;
    await this.#deps.audit.append({
      action: error.code.startsWith('token-') ? 'token-refused' : 'enrollment-refused',
      actor: actorOf(credential),
      device,
      remoteAddress: request.remoteAddress,
      detail: { code: error.code, key: csr.keyFingerprint },
    });
  }

  async #decide(attempt: Attempt): Promise<EnrollOutcome> {
    const { csr, device, credential } = attempt;
    const { registry } = this.#deps;
    const key = replayKeyOf(credential, csr, device);
    const { slot, result } = await findReplay(key, device, this.#deps);
    if (result !== undefined) {
      await registry.settled();
      return { kind: 'issued', result };
    }
    assertCommonName(csr, device);
    if (credential.kind === 'none' && (await this.#mayHaveToken(csr, device))) {
      throw new FlotillaError('credentials-required', { detail: 'a token for this id is open' });
    }
    const row = await registry.get('devices', device);
    const authorization = this.#authorize(attempt, row);
    return authorization === undefined
      ? this.#withApproval(attempt, row, slot)
      : this.#issue(attempt, row, slot, authorization);
  }

  /**
   * Whether a client without a credential is asked for one, although approval is enabled. Many clients send
   * their password only after a 401 (RFC 7030, 3.2.3), and would wait for an operator in vain. A request that
   * waits already keeps its place.
   */
  async #mayHaveToken(csr: Csr, device: DeviceId): Promise<boolean> {
    const { registry, clock } = this.#deps;
    const now = clock.now();
    const isOpen = (await registry.tokensOf(device)).some(
      ({ uses, usesMax, expiresAtMs }) => uses < usesMax && expiresAtMs > now,
    );
    return isOpen && (await registry.get('requests', requestId(csr, device))) === undefined;
  }

  /** @returns undefined when an approval is needed */
  #authorize(
    { request, device, credential }: Attempt,
    row: DeviceRecord | undefined,
  ): Authorization | undefined {
    const { config } = this.#deps;
    if (credential.kind === 'token') {
      const { token } = credential;
      return authorizeToken(
        token,
        device,
        () => agreedProfile(config, token.profile, request.profile),
        row,
      );
    }
    if (credential.kind === 'none') return undefined;
    const { factory } = credential;
    assertFactoryDevice(factory, device);
    if (factory.factory.approval) return undefined;
    return authorizeFactory(
      factory,
      agreedProfile(config, factory.factory.profile, request.profile),
      row,
    );
  }

  async #withApproval(
    attempt: Attempt,
    row: Stored<DeviceRecord> | undefined,
    slot: ReplaySlot,
  ): Promise<EnrollOutcome> {
    const { request, csr, device, credential } = attempt;
    const { registry, config } = this.#deps;
    const factory = credential.kind === 'factory' ? credential.factory : undefined;
    const approval: ApprovalRequest = {
      csr,
      device,
      factory,
      profile: agreedProfile(config, factory?.factory.profile ?? null, request.profile),
      remoteAddress: request.remoteAddress,
    };
    const decision = await this.#approvals.decide(approval, row);
    if (decision.kind === 'approved') {
      return this.#issue(attempt, row, slot, decision.authorization);
    }
    if (decision.kind === 'new') {
      assertKeyType(csr, approval.profile);
      await this.#namesOf(csr, device, approval.profile);
      await CheckedCsr.check(csr, device, this.#deps);
      await this.#approvals.add(approval, decision.expected);
    } else {
      await registry.settled();
    }
    const { retryAfterSeconds } = this.#approvals;
    return { kind: 'pending', request: requestId(csr, device), retryAfterSeconds };
  }

  async #issue(
    { request, csr, device }: Attempt,
    row: Stored<DeviceRecord> | undefined,
    replay: ReplaySlot,
    authorization: Authorization,
  ): Promise<EnrollOutcome> {
    const { clock, hook, issuing } = this.#deps;
    const { profile, way } = authorization;
    const names = await this.#namesOf(csr, device, profile);
    assertKeyType(csr, profile);
    assertMayEnroll(row, authorization);
    // Before the hook: a request that cannot be granted is not worth a call.
    const checked = await CheckedCsr.check(csr, device, this.#deps);
    const group = authorization.group ?? profile.group ?? row?.group ?? null;
    const added = await hook({
      event: 'enroll',
      device,
      group,
      profile: profile.name,
      way,
      keyFingerprint: csr.keyFingerprint,
      remoteAddress: request.remoteAddress,
    });
    const known: DeviceRecord = withRole(
      row ?? newIdentity({ id: device, role: 'device', createdAtMs: clock.now() }),
      authorization.role ?? profile.role ?? undefined,
    );
    const result = await issuing.issue({
      csr: checked,
      row: {
        ...known,
        status: 'active',
        group: added.group ?? group,
        attributes: { ...profile.attributes, ...known.attributes, ...added.attributes },
        profile: profile.name,
        factory: authorization.factory,
      },
      expected: row?.version ?? 0,
      profile: isEmptyNames(names) ? 'device' : 'device-server',
      names,
      validityMs: profile.validityMs,
      replay,
      change: authorization.change,
      event: {
        action: 'certificate-issued',
        actor: authorization.actor,
        remoteAddress: request.remoteAddress,
        detail: { way, profile: profile.name, role: assignedRole(known) },
      },
    });
    return { kind: 'issued', result };
  }

  async #namesOf(csr: Csr, device: DeviceId, profile: EnrollmentProfile): Promise<SubjectNames> {
    const reserved = await this.#deps.serviceNames.reservedFor(profile);
    return namesForEnrollment(csr, { device, profile, reserved });
  }
}

function deviceOf({ commonName }: Csr): DeviceId {
  if (commonName !== undefined && isDeviceId(commonName)) return commonName;
  throw new FlotillaError('csr-name-mismatch', { detail: 'the common name is not a device id' });
}
