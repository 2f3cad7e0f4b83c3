/**
 * The policy that the service keeps for the whole fleet. Brokers get it over the feed; a broker whose own
 * policy file was edited uses that file instead, and reports it.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { defaultPolicyText } from '../../core/policy/default-policy.ts';
import type { PolicyReader } from '../../core/policy/policy-reader.ts';
import type { Feed } from '../feed/directory-feed.ts';
import type { DocumentRecord } from '../registry/records.ts';
import { retryOnConflict, type Registry } from '../registry/registry.ts';

export interface StoredPolicy {
  readonly text: string;
  /** Over the text, hexadecimal. */
  readonly sha256: string;
  /** `default`: nothing is stored, brokers use their own file or the default. */
  readonly source: 'fleet' | 'default';
  readonly updatedAtMs: number | undefined;
  readonly updatedBy: string | undefined;
}

export interface FleetPolicyDeps {
  readonly registry: Registry;
  readonly clock: Clock;
  readonly feed: Pick<Feed, 'setPolicy'>;
  readonly reader: Pick<PolicyReader, 'check'>;
}

export class FleetPolicy {
  readonly #registry: Registry;
  readonly #clock: Clock;
  readonly #reader: Pick<PolicyReader, 'check'>;
  readonly #stop: () => void;

  private constructor({ registry, clock, feed, reader }: FleetPolicyDeps) {
    this.#registry = registry;
    this.#clock = clock;
    this.#reader = reader;
    this.#stop = registry.watch(({ puts }) => {
      for (const { table, record } of puts) if (table === 'documents') feed.setPolicy(record.text);
    });
  }

  /** Sends what is stored to the brokers, and each change of it until {@link close}. */
  static async open(deps: FleetPolicyDeps): Promise<FleetPolicy> {
    const { registry, feed } = deps;
    const policy = new FleetPolicy(deps);
    const stored = await registry.get('documents', 'policy');
    feed.setPolicy(stored?.text ?? null);
    return policy;
  }

  async get(): Promise<StoredPolicy> {
    const row = await this.#registry.get('documents', 'policy');
    if (row === undefined) {
      return {
        text: defaultPolicyText,
        sha256: sha256Of(defaultPolicyText),
        source: 'default',
        updatedAtMs: undefined,
        updatedBy: undefined,
      };
    }
    const { text, sha256, updatedAtMs, updatedBy } = row;
    return { text, sha256, source: 'fleet', updatedAtMs, updatedBy };
  }

  /**
   * Stores another policy. Brokers have it in force within a second.
   *
   * @param expected the SHA-256 of the policy that was edited; `*`: whichever
   * @throws FlotillaError `policy-invalid` with line and column, `version-conflict`
   */
  async put(text: string, expected: string, actor: string): Promise<StoredPolicy> {
    await this.#reader.check(text, actor);
    return retryOnConflict(async () => {
      const before = await this.get();
      if (expected !== '*' && expected !== before.sha256) {
        throw new FlotillaError('version-conflict', {
          detail: `the policy is ${before.sha256.slice(0, 16)} now, changed by ${before.updatedBy ?? 'nobody'}`,
        });
      }
      const row = await this.#registry.get('documents', 'policy');
      const record: DocumentRecord = {
        name: 'policy',
        text,
        sha256: sha256Of(text),
        updatedAtMs: this.#clock.now(),
        updatedBy: actor,
      };
      await this.#registry.commit({
        puts: [{ table: 'documents', record, expected: row?.version ?? 0 }],
        events: [
          {
            action: 'policy-changed',
            actor,
            detail: { sha256: record.sha256, before: before.sha256, source: before.source },
          },
        ],
      });
      return this.get();
    });
  }

  close(): void {
    this.#stop();
  }
}

function sha256Of(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
