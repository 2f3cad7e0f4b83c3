/**
 * Revokes, suspends, resumes and deletes devices: changes the registry, notifies the brokers, and renews the
 * revocation list. The call returns when the change is in force.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import type { DeviceId } from '../../core/device-id.ts';
import type { RevocationReason } from '../../core/protocol/enrollment-api.ts';
import type { AuditTrail } from '../audit/audit-trail.ts';
import type { DeviceAdmin } from './devices.ts';
import type { Feed } from '../feed/directory-feed.ts';
import type { Effect } from '../feed/feed-subscriber.ts';

/**
 * How long a call waits for the brokers, in ms: a broker that does not respond must not delay it longer.
 */
export const brokersTimeoutMs = 2000;
const idsAtOnce = 200;

export interface DeviceActionsDeps {
  readonly devices: DeviceAdmin;
  readonly feed: Feed;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  /** Signs a new revocation list and returns its number. */
  readonly renewCrl: () => Promise<number | undefined>;
}

export interface RevokeResult {
  readonly serials: readonly string[];
  readonly effect: Effect;
  readonly elapsedMs: number;
  readonly crlNumber: number | undefined;
}

export class DeviceActions {
  readonly #deps: DeviceActionsDeps;

  constructor(deps: DeviceActionsDeps) {
    this.#deps = deps;
  }

  revoke(ids: readonly DeviceId[], reason: RevocationReason, actor: string): Promise<RevokeResult> {
    return this.#act(ids, actor, (id) => this.#deps.devices.revoke(id, reason, actor));
  }

  /** Changes many, and waits until the brokers have that in force. */
  each(
    ids: readonly DeviceId[],
    actor: string,
    change: (id: DeviceId) => Promise<string[]>,
  ): Promise<RevokeResult> {
    return this.#act(ids, actor, change);
  }

  delete(id: DeviceId, actor: string): Promise<RevokeResult> {
    return this.#act([id], actor, () => this.#deps.devices.delete(id, actor));
  }

  /** Suspends an identity, and waits until the brokers have closed its connections. */
  suspend(id: DeviceId, actor: string): Promise<RevokeResult> {
    return this.#act([id], actor, async () => {
      await this.#deps.devices.suspend(id, actor);
      return [];
    });
  }

  /** Ends a suspension, and removes the hold from the revocation list. */
  async resume(id: DeviceId, actor: string): Promise<void> {
    await this.#deps.devices.resume(id, actor);
    await bounded(this.#renewedCrl(), brokersTimeoutMs, this.#deps.clock);
  }

  /** In groups, not all at once, because each change is one commit. */
  async #each(
    ids: readonly DeviceId[],
    change: (id: DeviceId) => Promise<string[]>,
  ): Promise<string[]> {
    const serials: string[] = [];
    for (let at = 0; at < ids.length; at += idsAtOnce) {
      const some = await Promise.all(ids.slice(at, at + idsAtOnce).map(change));
      serials.push(...some.flat());
    }
    return serials;
  }

  /** A failure to sign the list does not undo a revocation: brokers decide by the directory. */
  #renewedCrl(): Promise<number | undefined> {
    return this.#deps.renewCrl().catch(() => undefined);
  }

  async #act(
    ids: readonly DeviceId[],
    actor: string,
    change: (id: DeviceId) => Promise<string[]>,
  ): Promise<RevokeResult> {
    const { feed, audit, clock } = this.#deps;
    const startMs = clock.monotonicMs();
    const serials = await this.#each(ids, change);
    const crl = this.#renewedCrl();
    const sequences = feed.sequencesOf(ids);
    const [effect, crlNumber] = await Promise.all([
      feed.effectOf(sequences, brokersTimeoutMs),
      bounded(crl, brokersTimeoutMs, clock),
    ]);
    if (effect.connectionsClosed > 0) {
      await audit.append({
        action: 'connections-closed',
        actor,
        ...(ids.length === 1 && ids[0] !== undefined ? { device: ids[0] } : {}),
        detail: { connections: effect.connectionsClosed, devices: ids.length },
      });
    }
    return { serials, effect, elapsedMs: clock.monotonicMs() - startMs, crlNumber };
  }
}

function bounded<T>(work: Promise<T>, ms: number, clock: Clock): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(ms, () => resolve(undefined));
    work.then(resolve, reject).finally(cancel);
  });
}
