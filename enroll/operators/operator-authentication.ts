/**
 * Finds the operator behind a credential: a certificate of role `admin`, an API key, or a browser session.
 *
 * The registry is asked on every call, so that a change of role, the end of a session and the deletion of
 * an operator take effect at once.
 *
 * @module
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { DeviceRecord, OperatorRecord, OperatorSessionRecord } from '../registry/records.ts';
import type { Registry } from '../registry/registry.ts';
import { isApiKey } from './api-keys.ts';
import type { OperatorCaller } from './caller.ts';
import {
  isOperatorRole,
  lesserRole,
  type OperatorRole,
} from '../../core/protocol/operator-role.ts';
import { secretHash } from './secrets.ts';

/** A browser's request, as far as it matters for its session. */
export interface SessionRequest {
  readonly token: string;
  /** Whether the call may change something, so that the request must prove where it comes from. */
  readonly unsafe: boolean;
  readonly host: string | undefined;
  readonly origin: string | undefined;
  readonly csrf: string | undefined;
}

export class OperatorAuthentication {
  readonly #registry: Registry;
  readonly #clock: Clock;

  constructor({ registry, clock }: { readonly registry: Registry; readonly clock: Clock }) {
    this.#registry = registry;
    this.#clock = clock;
  }

  /**
   * The operator who holds a certificate that was checked already. An operator of the same name can
   * have a lesser role than the certificate.
   *
   * @throws FlotillaError `role-missing`
   */
  async byCertificate(record: DeviceRecord, notAfterMs: number): Promise<OperatorCaller> {
    if (!isOperatorRole(record.role)) {
      throw new FlotillaError('role-missing', {
        detail: `${record.id} has a certificate of role ${record.role}`,
      });
    }
    const operator = await this.#registry.get('operators', record.id);
    if (operator?.disabled === true) throw disabled(operator);
    return {
      name: record.id,
      role: operator === undefined ? record.role : lesserRole(record.role, operator.role),
      actor: record.id,
      via: 'certificate',
      expiresAtMs: notAfterMs,
    };
  }

  /** @throws FlotillaError `api-key-invalid` */
  async byKey(key: string): Promise<OperatorCaller> {
    const row = isApiKey(key) ? await this.#registry.get('apiKeys', secretHash(key)) : undefined;
    if (row === undefined || row.expiresAtMs <= this.#clock.now()) {
      throw new FlotillaError('api-key-invalid');
    }
    const operator = await this.#registry.get('operators', row.operator);
    if (operator === undefined) throw new FlotillaError('api-key-invalid');
    if (operator.disabled) throw disabled(operator);
    return {
      name: operator.name,
      role: lesserRole(row.role, operator.role),
      actor: `${operator.name}/${row.name}`,
      via: 'key',
      scopes: row.scopes ?? undefined,
      expiresAtMs: row.expiresAtMs,
    };
  }

  /**
   * @throws FlotillaError `sign-in-required` when the session is unknown or over,
   *   `request-origin-refused` when another site, or no script of ours, made the request
   */
  async bySession(request: SessionRequest): Promise<OperatorCaller> {
    const hash = secretHash(request.token);
    const row = await this.#registry.get('sessions', hash);
    if (row?.kind !== 'session' || row.expiresAtMs <= this.#clock.now()) {
      throw new FlotillaError('sign-in-required');
    }
    const csrf = csrfTokenOf(request.token);
    assertSameOrigin(request, csrf);
    return {
      name: row.operator,
      role: await this.#roleOf(row),
      actor: row.operator,
      via: 'session',
      session: hash,
      csrf,
      expiresAtMs: row.expiresAtMs,
    };
  }

  /** @throws FlotillaError `sign-in-required` when the operator of a session is disabled or gone */
  async #roleOf({
    source,
    operator: name,
    providerRole,
  }: OperatorSessionRecord): Promise<OperatorRole> {
    const operator = await this.#registry.get('operators', name);
    if (operator?.disabled === true) throw new FlotillaError('sign-in-required');
    if (source === 'operator') {
      if (operator === undefined) throw new FlotillaError('sign-in-required');
      return operator.role;
    }
    if (source === 'provider') {
      if (providerRole === null) throw new FlotillaError('sign-in-required');
      return providerRole;
    }
    const identity = await this.#registry.get('devices', name);
    if (identity?.status !== 'active' || !isOperatorRole(identity.role)) {
      throw new FlotillaError('sign-in-required');
    }
    return operator === undefined ? identity.role : lesserRole(identity.role, operator.role);
  }
}

/** The token that a page sends in `X-CSRF-Token`. Another site can neither read it nor compute it. */
export function csrfTokenOf(sessionToken: string): string {
  return createHash('sha256').update(`csrf ${sessionToken}`).digest('base64url');
}

function assertSameOrigin({ unsafe, host, origin, csrf }: SessionRequest, expected: string): void {
  // Browsers send Origin with every request that is not a plain GET of the same origin.
  if (origin !== undefined && origin !== `https://${host ?? ''}`) {
    throw new FlotillaError('request-origin-refused', { detail: 'Origin' });
  }
  if (!unsafe) return;
  const given = Buffer.from(csrf ?? '');
  const wanted = Buffer.from(expected);
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) {
    throw new FlotillaError('request-origin-refused', { detail: 'X-CSRF-Token' });
  }
}

function disabled({ name }: OperatorRecord): FlotillaError {
  return new FlotillaError('operator-disabled', { detail: name });
}
