/**
 * Browser sessions: begun by a one-time link or by an identity provider, ended by sign-out or by time.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import { FlotillaError, isFlotillaError } from '../../core/errors/flotilla-error.ts';
import type { OperatorRole } from '../../core/protocol/operator-role.ts';
import type { OperatorSessionRecord } from '../registry/records.ts';
import {
  retryOnConflict,
  type Deletion,
  type Registry,
  type Stored,
} from '../registry/registry.ts';
import type { OperatorCaller } from './caller.ts';
import { randomSecret, secretHash } from './secrets.ts';

const sessionsMax = 10_000;
/** Browser sessions of one operator at a time. With one more, the oldest ends. */
const sessionsPerOperatorMax = 50;

export interface SignInTimes {
  readonly sessionTtl: number;
  readonly linkTtl: number;
}

/** A session that has just begun. */
export interface NewSession {
  /** For the cookie; stored only as its hash. */
  readonly token: string;
  readonly operator: string;
  readonly expiresAtMs: number;
}

export class SignIn {
  readonly #registry: Registry;
  readonly #clock: Clock;
  readonly #times: SignInTimes;

  constructor(registry: Registry, clock: Clock, times: SignInTimes) {
    this.#registry = registry;
    this.#clock = clock;
    this.#times = times;
  }

  /**
   * Makes a link for an operator, or for the caller itself.
   *
   * @throws FlotillaError `operator-not-found`, `role-missing` for a caller with an API key: a key must not
   *   become a session without its limits
   */
  async createLink(
    name: string,
    ttlMs: number | undefined,
    caller: OperatorCaller,
  ): Promise<{ readonly token: string; readonly expiresAtMs: number }> {
    if (caller.via === 'key') {
      throw new FlotillaError('role-missing', { detail: 'an API key cannot make sign-in links' });
    }
    const operator = await this.#registry.get('operators', name);
    const own = name === caller.name && caller.via === 'certificate';
    if (operator === undefined && !own) {
      throw new FlotillaError('operator-not-found', { detail: name });
    }
    const source = own ? 'identity' : 'operator';
    const nowMs = this.#clock.now();
    const expiresAtMs = nowMs + (ttlMs ?? this.#times.linkTtl);
    const { token, record } = secretRecord({
      kind: 'link',
      operator: name,
      source,
      providerRole: null,
      createdAtMs: nowMs,
      expiresAtMs,
    });
    await this.#assertRoom();
    await this.#registry.commit({
      puts: [{ table: 'sessions', record, expected: 0 }],
      events: [
        {
          action: 'sign-in-link-created',
          actor: caller.actor,
          detail: { operator: name, expiresAt: new Date(expiresAtMs).toISOString() },
        },
      ],
    });
    return { token, expiresAtMs };
  }

  /**
   * Begins a session with a link, which cannot be used again.
   *
   * @throws FlotillaError `sign-in-link-invalid`
   */
  async useLink(linkToken: string, remoteAddress: string): Promise<NewSession> {
    const link = await this.#registry.get('sessions', secretHash(linkToken));
    const nowMs = this.#clock.now();
    if (link?.kind !== 'link' || link.expiresAtMs <= nowMs) {
      throw new FlotillaError('sign-in-link-invalid');
    }
    const { token, record } = this.#session(link.operator, link.source, null);
    const ended = await this.#surplusOf(link.operator);
    try {
      await this.#registry.commit({
        puts: [{ table: 'sessions', record, expected: 0 }],
        deletions: [...ended, { table: 'sessions', key: link.hash, expected: link.version }],
        events: [signedIn(record, 'link', remoteAddress)],
      });
    } catch (error) {
      // Somebody else used it at the same moment.
      if (isFlotillaError(error, 'registry-conflict')) {
        throw new FlotillaError('sign-in-link-invalid');
      }
      throw error;
    }
    return { token, operator: record.operator, expiresAtMs: record.expiresAtMs };
  }

  /** Begins a session for a person whom the identity provider signed in. */
  async byProvider(name: string, role: OperatorRole, remoteAddress: string): Promise<NewSession> {
    const { token, record } = this.#session(name, 'provider', role);
    await retryOnConflict(async () => {
      const deletions = await this.#surplusOf(name);
      if (deletions.length === 0) await this.#assertRoom();
      await this.#registry.commit({
        puts: [{ table: 'sessions', record, expected: 0 }],
        deletions,
        events: [signedIn(record, 'provider', remoteAddress)],
      });
    });
    return { token, operator: name, expiresAtMs: record.expiresAtMs };
  }

  /** Ends the session of a caller; nothing happens for callers without one. */
  async end({ session, actor }: OperatorCaller): Promise<void> {
    const row = session === undefined ? undefined : await this.#registry.get('sessions', session);
    if (row === undefined) return;
    await this.#registry.commit({
      deletions: [{ table: 'sessions', key: row.hash, expected: row.version }],
      events: [{ action: 'signed-out', actor }],
    });
  }

  /** The oldest sessions of an operator who would have too many with one more. */
  async #surplusOf(name: string): Promise<Deletion[]> {
    const own: Stored<OperatorSessionRecord>[] = [];
    for await (const row of this.#registry.rows('sessions')) {
      if (row.operator === name && row.kind === 'session') own.push(row);
    }
    const surplus = own.length + 1 - sessionsPerOperatorMax;
    if (surplus <= 0) return [];
    return own
      .sort((one, other) => one.createdAtMs - other.createdAtMs)
      .slice(0, surplus)
      .map(({ hash, version }) => ({ table: 'sessions', key: hash, expected: version }));
  }

  async #assertRoom(): Promise<void> {
    if ((await this.#registry.count('sessions')) >= sessionsMax) {
      throw new FlotillaError('too-many-requests', { retryAfterSeconds: 60 });
    }
  }

  #session(
    operator: string,
    source: OperatorSessionRecord['source'],
    providerRole: OperatorRole | null,
  ): { token: string; record: OperatorSessionRecord } {
    const nowMs = this.#clock.now();
    return secretRecord({
      kind: 'session',
      operator,
      source,
      providerRole,
      createdAtMs: nowMs,
      expiresAtMs: nowMs + this.#times.sessionTtl,
    });
  }
}

function secretRecord(fields: Omit<OperatorSessionRecord, 'hash'>): {
  token: string;
  record: OperatorSessionRecord;
} {
  const token = randomSecret();
  return { token, record: { hash: secretHash(token), ...fields } };
}

function signedIn(
  { operator, expiresAtMs, providerRole }: OperatorSessionRecord,
  way: string,
  remoteAddress: string,
): {
  action: 'signed-in';
  actor: string;
  remoteAddress: string;
  detail: Record<string, string>;
} {
  return {
    action: 'signed-in',
    actor: operator,
    remoteAddress,
    detail: {
      way,
      expiresAt: new Date(expiresAtMs).toISOString(),
      ...(providerRole === null ? {} : { role: providerRole }),
    },
  };
}
