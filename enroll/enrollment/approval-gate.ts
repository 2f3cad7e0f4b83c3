/**
 * Enrollments that need an approval: by an operator, or by a rule of the configuration. A request waits in
 * the registry until it is decided or expires.
 *
 * @module
 */
import type { Csr } from '../../certs/csr.ts';
import type { Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import type { DeviceId } from '../../core/device-id.ts';
import { addressPrefix } from '../../core/ip-address.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { DeviceRecord, RequestRecord } from '../registry/records.ts';
import type { Registry, Stored } from '../registry/registry.ts';
import { approvingRule } from './approval-rules.ts';
import type { Authorization } from './authorization.ts';
import { requestId } from './credentials.ts';
import type { FactoryAuthorization } from './factories.ts';
import type { EnrollmentProfile } from './profiles.ts';

export interface ApprovalGateDeps {
  readonly registry: Registry;
  readonly config: Config;
  readonly clock: Clock;
}

export interface ApprovalRequest {
  readonly csr: Csr;
  readonly device: DeviceId;
  readonly factory: FactoryAuthorization | undefined;
  readonly profile: EnrollmentProfile;
  readonly remoteAddress: string;
}

export type ApprovalDecision =
  | { readonly kind: 'approved'; readonly authorization: Authorization }
  /** It waits already. */
  | { readonly kind: 'pending' }
  /** It is to be added. `expected`: the version of an expired one in its place; 0: none. */
  | { readonly kind: 'new'; readonly expected: number };

/** One source may have a tenth of the queue. */
const sourceShare = 10;
const requestsPerKeyMax = 10;
/** How many denied requests one new request removes at most. */
const deletionsMax = 100;

export class ApprovalGate {
  readonly #deps: ApprovalGateDeps;

  constructor(deps: ApprovalGateDeps) {
    this.#deps = deps;
  }

  /** How long a device waits before it asks again. */
  get retryAfterSeconds(): number {
    return Math.max(1, Math.round(this.#deps.config.enroll.approval.retryAfter / 1000));
  }

  /**
   * Whether a request is approved.
   *
   * @param row the identity, if it exists: rules approve new ones only
   * @throws FlotillaError `enrollment-denied`
   */
  async decide(request: ApprovalRequest, row: DeviceRecord | undefined): Promise<ApprovalDecision> {
    const { registry, config, clock } = this.#deps;
    const { csr, device, factory, remoteAddress } = request;
    const id = requestId(csr, device);
    const found = await registry.get('requests', id);
    const known = found !== undefined && found.expiresAtMs > clock.now() ? found : undefined;
    if (known?.status === 'pending') return { kind: 'pending' };
    if (known?.status === 'denied') throw new FlotillaError('enrollment-denied');
    if (known !== undefined) {
      const change = {
        deletions: [{ table: 'requests', key: id, expected: known.version }],
      } as const;
      const authorization = approved(request, known.decidedBy ?? 'system', change, known);
      return { kind: 'approved', authorization };
    }
    const isNew = row === undefined || row.status === 'pending';
    const rule = isNew
      ? approvingRule(config.enroll.approval.autoApprove, {
          device,
          remoteAddress,
          factory: factory?.factory.name ?? null,
        })
      : undefined;
    return rule === undefined
      ? { kind: 'new', expected: found?.version ?? 0 }
      : { kind: 'approved', authorization: approved(request, `rule:${rule}`, {}, undefined) };
  }

  /**
   * Adds a request that waits for an operator.
   *
   * @throws FlotillaError `too-many-requests`, `registry-conflict`, `registry-unavailable`
   */
  async add(request: ApprovalRequest, expected: number): Promise<void> {
    const { registry, config, clock } = this.#deps;
    const { csr, device, factory, profile, remoteAddress } = request;
    const decided = await this.#assertRoom(request);
    const now = clock.now();
    const record: RequestRecord = {
      id: requestId(csr, device),
      device,
      csr: csr.der.toString('base64'),
      keyFingerprint: csr.keyFingerprint,
      remoteAddress,
      profile: profile.name,
      factory:
        factory === undefined ? null : { name: factory.factory.name, serial: factory.serial },
      status: 'pending',
      receivedAtMs: now,
      expiresAtMs: now + config.enroll.approval.expiry,
      group: null,
      decidedBy: null,
    };
    await registry.commit({
      puts: [{ table: 'requests', record, expected }],
      deletions: decided
        .filter(({ id }) => id !== record.id)
        .map(({ id, version }) => ({ table: 'requests', key: id, expected: version })),
      events: [
        {
          action: 'enrollment-requested',
          actor: factory === undefined ? 'anonymous' : `factory:${factory.factory.name}`,
          device,
          remoteAddress,
          detail: { request: record.id, key: csr.keyFingerprint },
        },
      ],
    });
  }

  /**
   * Checks that there is room for a request: in all, for its source and for its key, so that nobody fills the
   * queue alone. Denied requests take no room: the oldest make way.
   *
   * @returns denied requests to delete
   * @throws FlotillaError `too-many-requests`
   */
  async #assertRoom({ csr, remoteAddress }: ApprovalRequest): Promise<Stored<RequestRecord>[]> {
    const { registry, config } = this.#deps;
    const max = config.limits.enroll.requestsPendingMax;
    const source = addressPrefix(remoteAddress);
    let open = 0;
    let ofSource = 0;
    let ofKey = 0;
    const denied: Stored<RequestRecord>[] = [];
    for await (const row of registry.rows('requests')) {
      if (row.status === 'denied') {
        denied.push(row);
        continue;
      }
      open++;
      if (addressPrefix(row.remoteAddress) === source) ofSource++;
      if (row.keyFingerprint === csr.keyFingerprint) ofKey++;
    }
    if (open >= max || ofSource >= Math.max(2, max / sourceShare) || ofKey >= requestsPerKeyMax) {
      throw new FlotillaError('too-many-requests', { retryAfterSeconds: 60 });
    }
    const excess = denied.length + open + 1 - max;
    return denied
      .sort((one, other) => one.receivedAtMs - other.receivedAtMs)
      .slice(0, Math.max(0, Math.min(excess, deletionsMax)));
  }
}

function approved(
  { profile, factory }: ApprovalRequest,
  actor: string,
  change: Authorization['change'],
  given: Pick<RequestRecord, 'group' | 'role'> | undefined,
): Authorization {
  return {
    way: 'approval',
    actor,
    group: given?.group ?? factory?.factory.group ?? null,
    role: given?.role ?? factory?.factory.role,
    profile,
    reenrolls: true,
    factory: factory?.factory.name,
    change,
  };
}
