/**
 * Enrollment tokens: 256 random bits that are shown once. The registry stores only their hash.
 *
 * @module
 */
import { createHash, randomBytes } from 'node:crypto';
import { assertFitsCommonName } from '../../certs/distinguished-name.ts';
import type { Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import type { DeviceId } from '../../core/device-id.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { TokenRecord } from '../registry/records.ts';
import { assertNameFree } from '../registry/reserved-names.ts';
import { retryOnConflict, type Registry, type Stored } from '../registry/registry.ts';
import { profileOf } from './profiles.ts';

const tokenBytes = 32;
const grammar = /^[A-Za-z0-9_-]{43}$/;

/** The hash under which a token is stored. @returns undefined when the text cannot be a token */
export function tokenHash(token: string): string | undefined {
  if (!grammar.test(token)) return undefined;
  const bytes = Buffer.from(token, 'base64url');
  // The last digit has two unused bits: only one spelling of a token is valid.
  if (bytes.length !== tokenBytes || bytes.toString('base64url') !== token) return undefined;
  return createHash('sha256').update(bytes).digest('hex');
}

/** The name of a token in the audit log. */
export function tokenName(hash: string): string {
  return `token:${hash.slice(0, 16)}`;
}

export interface TokenRequest {
  /** Null: any identity that does not exist yet (a token for a group). */
  readonly device: DeviceId | null;
  readonly group?: string | undefined;
  /** The role in the policy. */
  readonly role?: string | undefined;
  readonly profile?: string | undefined;
  readonly ttlSeconds?: number | undefined;
  readonly uses?: number | undefined;
  /** Of a group: whether it is also for devices that exist in the group. */
  readonly reenrolls?: boolean | undefined;
}

export interface MadeToken {
  readonly token: string;
  readonly record: TokenRecord;
}

export interface TokensDeps {
  readonly registry: Registry;
  readonly config: Config;
  readonly clock: Clock;
}

export class Tokens {
  readonly #registry: Registry;
  readonly #config: Config;
  readonly #clock: Clock;

  constructor({ registry, config, clock }: TokensDeps) {
    this.#registry = registry;
    this.#config = config;
    this.#clock = clock;
  }

  /**
   * Creates tokens, all in one commit.
   *
   * @throws FlotillaError `profile-not-found`, `device-id-too-long`, `identity-role-conflict`
   */
  async create(requests: readonly TokenRequest[], actor: string): Promise<MadeToken[]> {
    const now = this.#clock.now();
    for (const { device } of requests) {
      if (device !== null) await assertNameFree(device, 'device', this.#registry);
    }
    const made = requests.map((request): MadeToken => {
      if (request.device !== null) {
        assertFitsCommonName(request.device);
      }
      if (request.profile !== undefined) profileOf(this.#config, request.profile);
      const bytes = randomBytes(tokenBytes);
      const ttlMs =
        request.ttlSeconds === undefined ? this.#config.enroll.tokenTtl : request.ttlSeconds * 1000;
      return {
        token: bytes.toString('base64url'),
        record: {
          hash: createHash('sha256').update(bytes).digest('hex'),
          device: request.device,
          group: request.group ?? null,
          ...(request.role === undefined ? {} : { role: request.role }),
          profile: request.profile ?? null,
          ...(request.reenrolls === true ? { reenrolls: true } : {}),
          usesMax: request.uses ?? 1,
          uses: 0,
          createdAtMs: now,
          expiresAtMs: now + ttlMs,
        },
      };
    });
    await this.#registry.commit({
      puts: made.map(({ record }) => ({ table: 'tokens', record, expected: 0 })),
      events: made.map(({ record }) => ({
        action: 'token-created',
        actor,
        ...(record.device === null ? {} : { device: record.device }),
        detail: {
          token: tokenName(record.hash),
          group: record.group,
          ...(record.role === undefined ? {} : { role: record.role }),
          uses: record.usesMax,
          ...(record.reenrolls === true ? { reenrolls: true } : {}),
          expiresAt: new Date(record.expiresAtMs).toISOString(),
        },
      })),
    });
    return made;
  }

  /**
   * The row of a token. It may have no uses left.
   *
   * @throws FlotillaError `token-invalid`, `token-expired`
   */
  async find(token: string): Promise<Stored<TokenRecord>> {
    const hash = tokenHash(token);
    const row = hash === undefined ? undefined : await this.#registry.get('tokens', hash);
    if (row === undefined) throw new FlotillaError('token-invalid');
    if (row.expiresAtMs <= this.#clock.now()) throw new FlotillaError('token-expired');
    return row;
  }

  /** Revokes a token by its name in the audit log. @throws FlotillaError `token-not-found` */
  async revoke(name: string, actor: string): Promise<void> {
    await retryOnConflict(async () => {
      for await (const row of this.#registry.rows('tokens')) {
        if (tokenName(row.hash) !== name) continue;
        await this.#registry.commit({
          deletions: [{ table: 'tokens', key: row.hash, expected: row.version }],
          events: [{ action: 'token-revoked', actor, detail: { token: name } }],
        });
        return;
      }
      throw new FlotillaError('token-not-found', { detail: name });
    });
  }
}
