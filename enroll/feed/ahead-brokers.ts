/**
 * The brokers that know changes which the registry does not have, because it was restored from an older backup.
 *
 * @module
 */
import type { DeviceId } from '../../core/device-id.ts';
import type { Logger } from '../../core/log.ts';
import type { HelloGeneration, KnownGeneration } from '../../core/protocol/generation.ts';
import type { AuditTrail } from '../audit/audit-trail.ts';
import type { Lineage } from '../registry/lineage.ts';
import type { Registry } from '../registry/registry.ts';

/** How many brokers are remembered after they disconnected. */
const brokersMax = 1000;

export interface AheadBroker {
  readonly broker: DeviceId;
  readonly known: KnownGeneration;
  /** When the registry began without the changes that the broker knows, in ms since 1970. */
  readonly sinceMs: number;
}

export interface AheadBrokersDeps {
  readonly audit: Pick<AuditTrail, 'append'>;
  readonly lineage: Lineage;
  readonly log: Logger;
  readonly registry: Pick<Registry, 'number'>;
}

export class AheadBrokers {
  readonly #deps: AheadBrokersDeps;
  readonly #ahead = new Map<DeviceId, AheadBroker>();

  constructor(deps: AheadBrokersDeps) {
    this.#deps = deps;
  }

  /** The name of this run, which is the epoch of the feed. */
  get run(): string {
    return this.#deps.lineage.current.run;
  }

  /** Whether a broker that knows this has the beginning of what this registry has. */
  isContinued(known: KnownGeneration): boolean {
    return this.#deps.lineage.isContinued(known);
  }

  /** Those that an operator has to decide about. */
  get list(): readonly AheadBroker[] {
    return [...this.#ahead.values()];
  }

  /** A broker connects to the feed. @param known what it says that it knows; undefined: nothing yet */
  admit(broker: DeviceId, known: KnownGeneration | undefined): HelloGeneration {
    const { lineage, registry } = this.#deps;
    const { registry: id } = lineage;
    const { startedAtMs } = lineage.current;
    const plain = { registry: id, commit: registry.number, startedAtMs };
    const sinceMs = known === undefined ? undefined : lineage.divergedSinceMs(known);
    if (known === undefined || sinceMs === undefined) {
      this.#ahead.delete(broker);
      return plain;
    }
    this.#report({ broker, known, sinceMs });
    return { ...plain, behind: { sinceMs } };
  }

  /** An operator has decided about all of them: they get the registry's state when they connect again. */
  async settle(): Promise<readonly DeviceId[]> {
    const { lineage } = this.#deps;
    await lineage.settle(this.list.map(({ known }) => known));
    const brokers = [...this.#ahead.keys()];
    this.#ahead.clear();
    return brokers;
  }

  /** Once for each broker and state that it knows. */
  #report(ahead: AheadBroker): void {
    const { audit, log, registry } = this.#deps;
    const { broker, known } = ahead;
    const before = this.#ahead.get(broker)?.known;
    if (before === undefined && this.#ahead.size >= brokersMax) return;
    this.#ahead.set(broker, ahead);
    if (before?.run === known.run && before.commit === known.commit) return;
    log.error(
      {
        device: broker,
        code: 'registry-behind-broker',
        known: known.commit,
        commit: registry.number,
      },
      'a broker knows changes that the registry does not have',
    );
    audit
      .append({
        action: 'broker-ahead',
        actor: 'system',
        device: broker,
        detail: { known: known.commit, run: known.run, commit: registry.number },
      })
      .catch((error: unknown) => log.error({ err: error }, 'could not write the audit log'));
  }
}
