/**
 * Revocation as one act: the registry, the brokers, the revocation list; answered when it is in force.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import type { DeviceId } from '../../core/device-id.ts';
import type { RevocationReason } from '../../core/protocol/enrollment-api.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import type { DeviceAdmin } from './devices.ts';
import type { Effect, Feed } from '../feed/directory-feed.ts';

/** How long an answer waits for the brokers, in ms: one that does not answer must not hold it up. */
export const brokersTimeoutMs = 2000;
const idsAtOnce = 200;

export interface DeviceActionsDeps {
  readonly devices: DeviceAdmin;
  readonly feed: Feed;
  readonly audit: AuditLog;
  readonly clock: Clock;
  /** Has a new revocation list signed; gives its number. */
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

  delete(id: DeviceId, actor: string): Promise<RevokeResult> {
    return this.#act([id], actor, () => this.#deps.devices.delete(id, actor));
  }

  /** Locks out, and waits until the brokers have done so. */
  suspend(id: DeviceId, actor: string): Promise<RevokeResult> {
    return this.#act([id], actor, async () => {
      await this.#deps.devices.suspend(id, actor);
      return [];
    });
  }

  /** Lets in again, and takes the hold off the revocation list. */
  async resume(id: DeviceId, actor: string): Promise<void> {
    await this.#deps.devices.resume(id, actor);
    await bounded(this.#renewedCrl(), brokersTimeoutMs, this.#deps.clock);
  }

  /** Many at a time, but not all at once: each is a commit of its own. */
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

  /** A list that cannot be signed does not undo a revocation: the brokers go by the directory. */
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
