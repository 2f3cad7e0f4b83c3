/**
 * Responds to incidents (clones, overlapping connections, flapping devices): reports each one and
 * applies the configured reaction.
 *
 * @module
 */
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import type { Identity } from '../contracts/identity.ts';
import type { DirectoryView } from '../feed/broker-directory.ts';
import type { Finding, IncidentDetector } from './incident-detector.ts';
import type { IncidentHolds, Reaction } from './incident-holds.ts';

/** The configured reaction to each kind of incident. */
export type Reactions = Readonly<Record<Finding['kind'], Reaction | 'log'>>;

/** The reason why an identity is held, by the kind of incident. */
const holdCodes = {
  clone: 'device-cloned',
  overlap: 'device-overlapping',
  flapping: 'device-flapping',
} as const satisfies Record<Finding['kind'], ErrorCode>;

export interface IncidentResponseDeps {
  readonly detector: IncidentDetector;
  readonly holds: IncidentHolds;
  readonly directory: DirectoryView;
  readonly reactions: Reactions;
  report(identity: Identity, finding: Finding, reaction: Reaction | 'log'): void;
  /** Reviews the live connections of an identity that is now held. */
  enforce(id: string): void;
}

export class IncidentResponse {
  readonly #deps: IncidentResponseDeps;

  constructor(deps: IncidentResponseDeps) {
    this.#deps = deps;
  }

  /**
   * Counts an admitted connection.
   *
   * @returns whether the identity opened too many connections in this minute
   */
  exceedsConnectRate(identity: Identity): boolean {
    const { refuse, finding } = this.#deps.detector.admitted(identity);
    if (finding !== undefined) this.#respond(identity, finding);
    return refuse;
  }

  /** A CONNECT was accepted. @param takesOver whether it took the session over from a live connection */
  connected(identity: Identity, takesOver: boolean): void {
    const finding = this.#deps.detector.connected(identity, takesOver);
    if (finding !== undefined) this.#respond(identity, finding);
  }

  #respond(identity: Identity, finding: Finding): void {
    const { holds, directory, reactions } = this.#deps;
    const { id } = identity;
    const reaction = reactions[finding.kind];
    this.#deps.report(identity, finding, reaction);
    if (reaction === 'log') return;
    holds.add(id, reaction, holdCodes[finding.kind], directory.get(id));
    this.#deps.enforce(id);
  }
}
