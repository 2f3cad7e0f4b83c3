/**
 * What this broker does at once about an incident, until the enrollment service has made it lasting
 * in the directory: an identity is held in quarantine, or shut out.
 *
 * @module
 */
import type { DirectoryEntry } from '../../core/protocol/feed.ts';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import type { Judgement } from './admission.ts';

export type Reaction = 'quarantine' | 'suspend';

interface Held {
  readonly reaction: Reaction;
  readonly code: ErrorCode;
  /** Whether the directory has followed; from then on it decides alone. */
  confirmed: boolean;
}

const heldMax = 10_000;

export class IncidentHolds {
  readonly #held = new Map<string, Held>();

  /** Holds an identity. @param entry what the directory says of it now */
  add(id: string, reaction: Reaction, code: ErrorCode, entry: DirectoryEntry | undefined): void {
    // Where the directory restrains it already, no change of it may follow.
    const confirmed = entry !== undefined && entry.status !== 'active';
    if (this.#held.size < heldMax) this.#held.set(id, { reaction, code, confirmed });
  }

  /** Lets go of an identity that the directory restrained and then set free again. */
  sync(entry: DirectoryEntry | undefined, id: string): void {
    const held = this.#held.get(id);
    if (held === undefined) return;
    if (entry === undefined || (held.confirmed && entry.status === 'active')) this.#held.delete(id);
    else if (entry.status !== 'active') held.confirmed = true;
  }

  /** What a judgement becomes for a held identity. */
  apply(id: string, judgement: Judgement): Judgement {
    const held = this.#held.get(id);
    if (held === undefined || 'code' in judgement) return judgement;
    if (held.reaction === 'suspend') return { code: held.code };
    return { ...judgement, standing: 'quarantined' };
  }

  /** Who is held. */
  get ids(): readonly string[] {
    return [...this.#held.keys()];
  }

  get size(): number {
    return this.#held.size;
  }
}
