/**
 * Holds identities because of an incident: quarantines or rejects them until the enrollment service
 * has recorded the restriction in the directory. From then on the directory decides.
 *
 * @module
 */
import type { DirectoryEntry } from '../../core/protocol/feed.ts';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import type { Judgement } from './admission.ts';

export type Reaction = 'quarantine' | 'suspend';

interface Hold {
  readonly reaction: Reaction;
  readonly code: ErrorCode;
  /** Whether the directory contains the restriction; from then on it alone decides. */
  confirmed: boolean;
}

const holdsMax = 10_000;

export class IncidentHolds {
  readonly #holds = new Map<string, Hold>();

  /** Holds an identity. @param entry its current directory entry */
  add(id: string, reaction: Reaction, code: ErrorCode, entry: DirectoryEntry | undefined): void {
    // An identity that is already restricted may never get another change.
    const confirmed = entry !== undefined && entry.status !== 'active';
    if (this.#holds.size < holdsMax) this.#holds.set(id, { reaction, code, confirmed });
  }

  /** Ends the hold of an identity that the directory restricted and then activated again. */
  sync(entry: DirectoryEntry | undefined, id: string): void {
    const hold = this.#holds.get(id);
    if (hold === undefined) return;
    if (entry === undefined || (hold.confirmed && entry.status === 'active')) {
      this.#holds.delete(id);
    } else if (entry.status !== 'active') {
      hold.confirmed = true;
    }
  }

  /** Applies the hold of an identity, if there is one, to what the directory allows. */
  apply(id: string, judgement: Judgement): Judgement {
    const hold = this.#holds.get(id);
    if (hold === undefined || 'code' in judgement) return judgement;
    if (hold.reaction === 'suspend') return { code: hold.code };
    return { ...judgement, standing: 'quarantined' };
  }

  /** The identities that are held. */
  get ids(): readonly string[] {
    return [...this.#holds.keys()];
  }

  get size(): number {
    return this.#holds.size;
  }
}
