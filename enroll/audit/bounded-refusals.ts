/**
 * Audit lines that anybody can cause, bounded per source and in all: in a minute, one source gets at most a
 * tenth of the lines. What gets none is counted by reason, and one line per reason reports the sum when the
 * minute is over.
 *
 * @module
 */
import type { Cancel, Clock } from '../../core/clock.ts';
import { FairShare } from '../../core/fair-share.ts';
import { addressPrefix } from '../../core/ip-address.ts';
import type { Logger } from '../../core/log.ts';
import type { AuditEvent } from './audit-event.ts';
import type { AuditTrail } from './audit-trail.ts';

const minuteMs = 60_000;
/** Reasons that are summed separately; far more than there are. */
const reasonsMax = 500;

export interface BoundedRefusalsDeps {
  readonly audit: Pick<AuditTrail, 'append'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly linesPerMinute: number;
  /** Whom a line counts for (default: the address of the client, or the device). */
  readonly sourceOf?: (event: AuditEvent) => string;
}

interface Sum {
  readonly event: AuditEvent;
  count: number;
}

export class BoundedRefusals {
  readonly #deps: BoundedRefusalsDeps;
  readonly #share: FairShare;
  readonly #sums = new Map<string, Sum>();
  #over: Cancel | undefined;

  constructor(deps: BoundedRefusalsDeps) {
    this.#deps = deps;
    this.#share = new FairShare(deps.linesPerMinute);
  }

  /** Writes the events that have a place, and counts the others. @throws FlotillaError `file-write-failed` */
  async append(...events: readonly AuditEvent[]): Promise<void> {
    this.#over ??= this.#deps.clock.after(minuteMs, () => {
      this.close().catch((error: unknown) => {
        this.#deps.log.error({ err: error }, 'could not write the sums of refusals');
      });
    });
    const written = events.filter((event) => {
      const isWritten = this.#share.take((this.#deps.sourceOf ?? sourceOf)(event));
      if (!isWritten) this.#count(event);
      return isWritten;
    });
    if (written.length > 0) await this.#deps.audit.append(...written);
  }

  /** Ends the minute: writes the sums. */
  async close(): Promise<void> {
    this.#over?.();
    this.#over = undefined;
    this.#share.reset();
    const sums = [...this.#sums.values()];
    this.#sums.clear();
    if (sums.length === 0) return;
    await this.#deps.audit.append(
      ...sums.map(({ event, count }) => ({
        action: event.action,
        actor: 'system',
        detail: { code: reasonOf(event), count, rest: true },
      })),
    );
  }

  #count(event: AuditEvent): void {
    const key = `${event.action} ${String(reasonOf(event))}`;
    const sum = this.#sums.get(key);
    if (sum !== undefined) sum.count++;
    else if (this.#sums.size < reasonsMax) this.#sums.set(key, { event, count: 1 });
  }
}

function sourceOf({ remoteAddress, device }: AuditEvent): string {
  return addressPrefix(remoteAddress ?? device ?? '');
}

/** The code of a refusal, or the kind of an incident. */
function reasonOf({ detail }: AuditEvent): string | number | boolean | null {
  return detail?.['code'] ?? detail?.['kind'] ?? null;
}
