/**
 * What the session layer asks before it acts for an identity that has no connection: a will is published
 * after its connection ended, and after a restart of the broker.
 *
 * @module
 */
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import type { Identity } from './identity.ts';

/**
 * The identity as the directory has it now, for the policy to decide; the code of what it lost; or
 * `unknown` until the broker has a directory.
 */
export type RightsNow = { readonly identity: Identity } | { readonly code: ErrorCode } | 'unknown';

/** Which identity has left something behind, and with which certificate; undefined: not known. */
export interface LeftBehind {
  readonly identityCreatedAtMs: number | undefined;
  readonly fingerprint: string | undefined;
}

export interface IdentityRights {
  /**
   * @param last the identity of its last connection; undefined after a restart of the broker
   * @param left what was stored: the name may belong to another identity now
   */
  of(id: string, last: Identity | undefined, left: LeftBehind): RightsNow;
}
