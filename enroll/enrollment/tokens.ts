/**
 * Enrollment tokens: 256 random bits that are shown once. The registry stores only their hash.
 *
 * A token for CMP serves as the shared secret of a MAC, so that the service must know it. It is derived from random bits
 * in the registry and a key beside the keys of the CA ({@link TokenSecrets}): neither alone yields a token.
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

/** How clients of CMP name a token. @returns undefined if it is not for CMP */
export function cmpReference({ hash, cmpSeed }: TokenRecord): string | undefined {
  return cmpSeed === undefined ? undefined : hash;
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
  /** Whether it can be the shared secret of CMP (default: no). */
  readonly cmp?: boolean | undefined;
}

/** Derives tokens for CMP. */
export interface TokenSecrets {
  /**
   * The bytes of the token of a seed.
   *
   * @param make whether the key is created when there is none
   * @returns undefined when there is no key
   */
  derive(seed: Buffer, make: boolean): Promise<Buffer | undefined>;
}

export interface MadeToken {
  readonly token: string;
  readonly record: TokenRecord;
}

export interface TokensDeps {
  readonly registry: Registry;
  readonly config: Config;
  readonly clock: Clock;
  readonly secrets: TokenSecrets;
}

export class Tokens {
  readonly #registry: Registry;
  readonly #config: Config;
  readonly #clock: Clock;
  readonly #secrets: TokenSecrets;

  constructor({ registry, config, clock, secrets }: TokensDeps) {
    this.#secrets = secrets;
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
    const made: MadeToken[] = [];
    for (const request of requests) {
      if (request.device !== null) {
        assertFitsCommonName(request.device);
      }
      if (request.profile !== undefined) profileOf(this.#config, request.profile);
      made.push(await this.#make(request, now));
    }
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

  async #make(request: TokenRequest, nowMs: number): Promise<MadeToken> {
    const seed = randomBytes(tokenBytes);
    const bytes = request.cmp === true ? await this.#secrets.derive(seed, true) : seed;
    if (bytes === undefined) throw new FlotillaError('internal');
    const { tokenTtl } = this.#config.enroll;
    const ttlMs = request.ttlSeconds === undefined ? tokenTtl : request.ttlSeconds * 1000;
    return {
      token: bytes.toString('base64url'),
      record: {
        hash: createHash('sha256').update(bytes).digest('hex'),
        device: request.device,
        group: request.group ?? null,
        ...(request.role === undefined ? {} : { role: request.role }),
        profile: request.profile ?? null,
        ...(request.reenrolls === true ? { reenrolls: true } : {}),
        ...(request.cmp === true ? { cmpSeed: seed.toString('base64url') } : {}),
        usesMax: request.uses ?? 1,
        uses: 0,
        createdAtMs: nowMs,
        expiresAtMs: nowMs + ttlMs,
      },
    };
  }

  /**
   * A token by the reference with which a client of CMP names it: its hash. The token may have expired, or have no
   * uses left; {@link find} decides that after the MAC was verified.
   *
   * @throws FlotillaError `token-invalid`: there is none, or it is not for CMP
   */
  async ofReference(reference: string): Promise<{ token: string; record: TokenRecord }> {
    const record = /^[0-9a-f]{64}$/.test(reference)
      ? await this.#registry.get('tokens', reference)
      : undefined;
    const seed = record?.cmpSeed;
    if (record === undefined || seed === undefined) throw new FlotillaError('token-invalid');
    const bytes = await this.#secrets.derive(Buffer.from(seed, 'base64url'), false);
    const token = bytes?.toString('base64url');
    if (token === undefined || tokenHash(token) !== reference) {
      throw new FlotillaError('token-invalid', { detail: 'the key of CMP tokens has changed' });
    }
    return { token, record };
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
