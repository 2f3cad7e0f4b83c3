/**
 * Incidents that brokers report: recorded, and made permanent for devices if the broker has reacted.
 *
 * The key of a broker may be stolen. So a report restrains devices only, not the people and programs that would
 * revoke the broker, only so many devices in a minute, and its lines in the audit log are bounded: what gets no
 * line is counted in a sum.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import { isFlotillaError } from '../../core/errors/flotilla-error.ts';
import type { Logger } from '../../core/log.ts';
import type { Incident } from '../../core/protocol/feed.ts';
import { RateLimiter } from '../../core/rate-limiter.ts';
import type { AuditTrail } from '../audit/audit-trail.ts';
import { BoundedRefusals } from '../audit/bounded-refusals.ts';
import type { DeviceAdmin } from './devices.ts';

/** A broker that restrains more devices is more likely stolen than right. */
export const restraintsPerBrokerPerMinute = 60;
const minuteMs = 60_000;
/** One source gets a tenth of the lines: see bounded-refusals.ts. */
const shares = 10;

export interface BrokerIncidentsDeps {
  readonly audit: Pick<AuditTrail, 'append'>;
  readonly clock: Clock;
  readonly devices: Pick<DeviceAdmin, 'get' | 'restrain'>;
  readonly log: Logger;
  /** Lines in the audit log that one broker can cause. */
  readonly linesPerMinute: number;
}

export class BrokerIncidents {
  readonly #deps: BrokerIncidentsDeps;
  readonly #lines: BoundedRefusals;
  readonly #restraints: RateLimiter;
  readonly #warnings: RateLimiter;

  constructor(deps: BrokerIncidentsDeps) {
    this.#deps = deps;
    this.#lines = new BoundedRefusals({
      ...deps,
      linesPerMinute: deps.linesPerMinute * shares,
      sourceOf: ({ actor }) => actor,
    });
    this.#restraints = new RateLimiter(deps.clock, restraintsPerBrokerPerMinute, minuteMs);
    this.#warnings = new RateLimiter(deps.clock, 1, minuteMs);
  }

  /** @throws FlotillaError `file-write-failed`, `registry-unavailable` */
  async take(incident: Incident, broker: string): Promise<void> {
    const { devices, log } = this.#deps;
    const { id, kind, reaction, serial, addresses } = incident;
    const facts = { kind, reaction, serial, addresses: addresses.join(' ') };
    try {
      const { role } = await devices.get(id);
      if (reaction !== 'log' && role === 'device') {
        const status = reaction === 'suspend' ? 'suspended' : 'quarantined';
        if (this.#restraints.take(broker) > 0) {
          // The incident has a line in the audit log or counts in its sum, and the broker has a line a minute here.
          if (this.#warnings.take(broker) === 0)
            log.warn(
              { device: broker },
              'a broker restrains too many devices; its reports are recorded only',
            );
        } else if (await devices.restrain(id, status, broker, facts)) {
          return;
        }
      }
      const action = 'incident-reported';
      await this.#lines.append({ action, actor: broker, device: id, detail: facts });
    } catch (error) {
      // The device was deleted in the meantime.
      if (!isFlotillaError(error, 'device-not-found')) throw error;
    }
  }

  /** Writes the sums. */
  close(): Promise<void> {
    return this.#lines.close();
  }
}
