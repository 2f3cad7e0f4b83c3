/**
 * The queue of enrollment requests that wait for an operator.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { RequestRecord } from '../registry/records.ts';
import { retryOnConflict, type Registry } from '../registry/registry.ts';

export interface ApprovalsDeps {
  readonly registry: Registry;
  readonly clock: Clock;
}

export class Approvals {
  readonly #registry: Registry;
  readonly #clock: Clock;

  constructor({ registry, clock }: ApprovalsDeps) {
    this.#registry = registry;
    this.#clock = clock;
  }

  /** The pending requests, oldest first. */
  async list(): Promise<RequestRecord[]> {
    const found: RequestRecord[] = [];
    const now = this.#clock.now();
    for await (const row of this.#registry.rows('requests')) {
      if (row.status === 'pending' && row.expiresAtMs > now) found.push(row);
    }
    return found.sort((one, other) => one.receivedAtMs - other.receivedAtMs);
  }

  /**
   * Approves or denies a request. The decision can be changed until the device has fetched its certificate.
   *
   * @throws FlotillaError `request-not-found`
   */
  decide(
    id: string,
    status: 'approved' | 'denied',
    actor: string,
    given: { readonly group?: string | undefined; readonly role?: string | undefined } = {},
  ): Promise<RequestRecord> {
    return retryOnConflict(async () => {
      const row = await this.#registry.get('requests', id);
      if (row === undefined || row.expiresAtMs <= this.#clock.now()) {
        throw new FlotillaError('request-not-found', { detail: id });
      }
      const { version, ...before } = row;
      const record: RequestRecord = {
        ...before,
        status,
        group: given.group ?? before.group,
        role: given.role ?? before.role,
        decidedBy: actor,
      };
      await this.#registry.commit({
        puts: [{ table: 'requests', record, expected: version }],
        events: [
          {
            action: status === 'approved' ? 'enrollment-approved' : 'enrollment-denied',
            actor,
            device: record.device,
            detail: {
              request: id,
              key: record.keyFingerprint,
              ...(record.role === undefined ? {} : { role: record.role }),
            },
          },
        ],
      });
      return record;
    });
  }
}
