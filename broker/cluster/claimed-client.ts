/**
 * One client id whose session is at this broker, or is claimed here.
 *
 * @module
 */
import type { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { PresenceFacts } from '../contracts/session-claims.ts';
import {
  noOwnership,
  ownershipAfter,
  type OwnershipCommand,
  type OwnershipEvent,
  type SessionOwnership,
} from './session-ownership.ts';

/** A release that waits for the facts about its identity. */
export interface PendingRelease {
  readonly resolve: (facts: PresenceFacts) => void;
  readonly reject: (error: FlotillaError) => void;
}

export class ClaimedClient {
  /** The identity of the last granted claim, or of the first one while none is granted. */
  identityId: string;
  /** The release of the current claim, until it is written: at most one. */
  readonly releases: PendingRelease[] = [];
  #ownership: SessionOwnership = noOwnership;

  constructor(identityId: string) {
    this.identityId = identityId;
  }

  /** The request whose connection uses the session. */
  get holder(): number | undefined {
    return this.#ownership.holder;
  }

  /** Whether nothing about it has to be remembered. */
  get isIdle(): boolean {
    const { epoch, claim, busy } = this.#ownership;
    const isKnown = epoch !== undefined || claim !== undefined || busy !== undefined;
    return !isKnown && this.releases.length === 0;
  }

  /** @returns what to do about an event */
  apply(event: OwnershipEvent): readonly OwnershipCommand[] {
    const { state, commands } = ownershipAfter(this.#ownership, event);
    this.#ownership = state;
    return commands;
  }
}
