/**
 * Operators and their API keys: who exists, with which role.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import {
  includesRole,
  isOperatorRole,
  lesserRole,
  type OperatorRole,
} from '../../core/protocol/operator-role.ts';
import type { ApiKeyRecord, OperatorRecord } from '../registry/records.ts';
import { assertNameAllowed } from '../registry/reserved-names.ts';
import {
  retryOnConflict,
  type Deletion,
  type Registry,
  type Stored,
} from '../registry/registry.ts';
import { newApiKey } from './api-keys.ts';
import type { OperatorCaller } from './caller.ts';
import { secretHash } from './secrets.ts';

export const operatorsMax = 10_000;
const keysPerOperatorMax = 100;
const idChars = 16;

export interface KeyRequest {
  readonly operator: string;
  readonly name: string;
  readonly role: OperatorRole | undefined;
  readonly scopes: readonly string[] | undefined;
  readonly ttlMs: number;
}

export class OperatorDirectory {
  readonly #registry: Registry;
  readonly #clock: Clock;

  constructor(registry: Registry, clock: Clock) {
    this.#registry = registry;
    this.#clock = clock;
  }

  async list(): Promise<Stored<OperatorRecord>[]> {
    const found: Stored<OperatorRecord>[] = [];
    for await (const row of this.#registry.rows('operators')) found.push(row);
    return found.sort((one, other) => (one.name < other.name ? -1 : 1));
  }

  /**
   * Creates an operator, or changes role and state of one.
   *
   * @throws FlotillaError `identity-role-conflict` when a device or service has this name: the audit log
   *   could not distinguish them
   */
  put(
    name: string,
    { role, disabled }: Pick<OperatorRecord, 'role' | 'disabled'>,
    actor: string,
  ): Promise<Stored<OperatorRecord>> {
    // The administrator of the state folder may have a lesser role as an operator.
    assertNameAllowed(name, 'admin');
    return retryOnConflict(async () => {
      const identity = await this.#registry.get('devices', name);
      if (identity !== undefined && !isOperatorRole(identity.role)) {
        throw new FlotillaError('identity-role-conflict', {
          detail: `${name} is ${identity.role}`,
        });
      }
      const before = await this.#registry.get('operators', name);
      if (before === undefined && (await this.#registry.count('operators')) >= operatorsMax) {
        throw new FlotillaError('request-invalid', { detail: `at most ${operatorsMax} operators` });
      }
      const record: OperatorRecord = {
        name,
        role,
        disabled,
        createdAtMs: before?.createdAtMs ?? this.#clock.now(),
        createdBy: before?.createdBy ?? actor,
      };
      const version = await this.#registry.commit({
        puts: [{ table: 'operators', record, expected: before?.version ?? 0 }],
        events: [{ action: 'operator-changed', actor, detail: { operator: name, role, disabled } }],
      });
      return { ...record, version };
    });
  }

  /** Deletes an operator with its keys and sessions. @throws FlotillaError `operator-not-found` */
  delete(name: string, actor: string): Promise<void> {
    return retryOnConflict(async () => {
      const row = await this.#registry.get('operators', name);
      if (row === undefined) throw new FlotillaError('operator-not-found', { detail: name });
      const deletions: Deletion[] = [{ table: 'operators', key: name, expected: row.version }];
      for (const { hash, version } of await this.keysOf(name)) {
        deletions.push({ table: 'apiKeys', key: hash, expected: version });
      }
      for await (const { hash, operator, source, version } of this.#registry.rows('sessions')) {
        if (operator === name && source === 'operator') {
          deletions.push({ table: 'sessions', key: hash, expected: version });
        }
      }
      await this.#registry.commit({
        deletions,
        events: [{ action: 'operator-deleted', actor, detail: { operator: name } }],
      });
    });
  }

  /** The keys of one operator, or of all. */
  async keysOf(operator: string | undefined): Promise<Stored<ApiKeyRecord>[]> {
    const found: Stored<ApiKeyRecord>[] = [];
    for await (const row of this.#registry.rows('apiKeys')) {
      if (operator === undefined || row.operator === operator) found.push(row);
    }
    return found.sort((one, other) => other.createdAtMs - one.createdAtMs);
  }

  /**
   * Creates a key. It never has more rights than the operator, nor than whoever creates it.
   *
   * @returns the key, which cannot be shown again
   * @throws FlotillaError `operator-not-found`, `role-missing`
   */
  async createKey(
    request: KeyRequest,
    caller: OperatorCaller,
  ): Promise<{ readonly key: string; readonly record: ApiKeyRecord }> {
    const operator = await this.#registry.get('operators', request.operator);
    if (operator === undefined) {
      throw new FlotillaError('operator-not-found', { detail: request.operator });
    }
    const role = request.role ?? lesserRole(operator.role, caller.role);
    if (!includesRole(operator.role, role) || !includesRole(caller.role, role)) {
      throw new FlotillaError('role-missing', {
        detail: `a key of ${operator.name} cannot be ${role}`,
      });
    }
    const keys = await this.keysOf(operator.name);
    if (keys.length >= keysPerOperatorMax) {
      throw new FlotillaError('request-invalid', { detail: `at most ${keysPerOperatorMax} keys` });
    }
    const key = newApiKey();
    const hash = secretHash(key);
    const nowMs = this.#clock.now();
    const record: ApiKeyRecord = {
      hash,
      id: hash.slice(0, idChars),
      name: request.name,
      operator: operator.name,
      role,
      scopes: request.scopes === undefined ? null : [...request.scopes],
      createdAtMs: nowMs,
      expiresAtMs: nowMs + request.ttlMs,
    };
    await this.#registry.commit({
      puts: [{ table: 'apiKeys', record, expected: 0 }],
      events: [
        {
          action: 'api-key-created',
          actor: caller.actor,
          detail: {
            key: record.id,
            name: record.name,
            operator: record.operator,
            role,
            scopes: record.scopes?.join(' ') ?? null,
            expiresAt: new Date(record.expiresAtMs).toISOString(),
          },
        },
      ],
    });
    return { key, record };
  }

  /**
   * Deletes a key.
   *
   * @param operator whose key it must be; undefined: any
   * @throws FlotillaError `api-key-not-found`
   */
  deleteKey(id: string, operator: string | undefined, actor: string): Promise<void> {
    return retryOnConflict(async () => {
      const row = (await this.keysOf(operator)).find((key) => key.id === id);
      if (row === undefined) throw new FlotillaError('api-key-not-found', { detail: id });
      await this.#registry.commit({
        deletions: [{ table: 'apiKeys', key: row.hash, expected: row.version }],
        events: [{ action: 'api-key-deleted', actor, detail: { key: id, operator: row.operator } }],
      });
    });
  }
}
