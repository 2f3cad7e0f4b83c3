/**
 * The person or program behind a call of the API, after its credential was checked.
 *
 * @module
 */
import type { OperatorRole } from '../../core/protocol/operator-role.ts';

/** How a caller proved who it is: a client certificate, an API key, or a browser session. */
export type CredentialKind = 'certificate' | 'key' | 'session';

export interface OperatorCaller {
  /** The operator's name. */
  readonly name: string;
  readonly role: OperatorRole;
  /** How the audit log names the caller: the operator, and the API key where one was used (`alice/ci`). */
  readonly actor: string;
  readonly via: CredentialKind;
  /** Groups of operations that an API key is limited to; undefined: all that the role may do. */
  readonly scopes?: readonly string[] | undefined;
  /** Names the browser session, so that it can be ended. */
  readonly session?: string | undefined;
  /** The token that a browser must send with each call that changes something. */
  readonly csrf?: string | undefined;
  /** When the credential ends, in ms since 1970; undefined: not known here. */
  readonly expiresAtMs?: number | undefined;
}
