/**
 * Keeps administrators from locking themselves out by accident: the last way to act as an administrator never ends,
 * and the identity that makes a call ends only if the call says so.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { DeviceRecord } from '../registry/records.ts';
import type { Registry } from '../registry/registry.ts';
import type { OperatorCaller } from './caller.ts';

/** One way to act as an administrator: a certificate of role `admin`, or an API key without limits of an operator. */
export interface AdministratorWay {
  /** The identity of the certificate, or the operator of the key. */
  readonly name: string;
  readonly via: 'certificate' | 'key';
  /** The id of the API key. */
  readonly key?: string;
}

/** A change that can take rights away from administrators. */
export interface RestrainingChange {
  readonly caller: OperatorCaller | undefined;
  /** The identities or operators whose rights end. */
  readonly names: readonly string[];
  /** Whether the caller may be one of them. */
  readonly ownIdentity?: boolean | undefined;
  /** Whether the change ends a way (default: each way of a name in `names`). */
  readonly ends?: (way: AdministratorWay) => boolean;
}

export class LockoutGuard {
  readonly #registry: Registry;
  readonly #clock: Clock;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(registry: Registry, clock: Clock) {
    this.#registry = registry;
    this.#clock = clock;
  }

  /**
   * Makes the change, unless it locks out. Changes of administrators are made one after the other: of two
   * administrators who remove each other at the same time, one remains.
   *
   * @throws FlotillaError `own-identity`, `last-administrator`, and the errors of `act`
   */
  async run<T>(change: RestrainingChange, act: () => Promise<T>): Promise<T> {
    const names = new Set(change.names);
    const { caller, ownIdentity = false } = change;
    if (caller !== undefined && names.has(caller.name) && !ownIdentity) {
      throw new FlotillaError('own-identity', { detail: caller.name });
    }
    const ends = change.ends ?? (({ name }: AdministratorWay): boolean => names.has(name));
    if (!(await this.#ways()).some(ends)) return act();
    const turn = this.#queue.then(async () => {
      const ways = await this.#ways();
      if (ways.some(ends) && ways.every(ends)) {
        throw new FlotillaError('last-administrator', {
          detail: [...new Set(ways.map(({ name }) => name))].join(', '),
        });
      }
      return act();
    });
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  async #ways(): Promise<AdministratorWay[]> {
    const nowMs = this.#clock.now();
    const ways: AdministratorWay[] = [];
    let after: string | null = '';
    while (after !== null) {
      const page = await this.#registry.list({ role: 'admin', limit: 1000, after });
      for (const record of page.devices) {
        if (!hasCertificate(record, nowMs)) continue;
        const operator = await this.#registry.get('operators', record.id);
        if (operator !== undefined && (operator.disabled || operator.role !== 'admin')) continue;
        ways.push({ name: record.id, via: 'certificate' });
      }
      after = page.next;
    }
    for await (const key of this.#registry.rows('apiKeys')) {
      if (key.role !== 'admin' || key.scopes !== null || key.expiresAtMs <= nowMs) continue;
      const operator = await this.#registry.get('operators', key.operator);
      if (operator?.role !== 'admin' || operator.disabled) continue;
      ways.push({ name: key.operator, via: 'key', key: key.id });
    }
    return ways;
  }
}

function hasCertificate({ status, certificates }: DeviceRecord, nowMs: number): boolean {
  return (
    status === 'active' &&
    certificates.some((one) => one.status === 'active' && one.notAfterMs > nowMs)
  );
}
