/** The override for a change that takes away the person's own access. @module */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { sessionState } from '../api/session-state.ts';

export interface OwnIdentityOverride {
  /** Whether the change concerns the operator who is signed in. */
  readonly isOwn: boolean;
  /** The query of the call. */
  readonly query: { readonly ownIdentity?: 'true' };
  /** A check box that must be checked before the form can be sent; null for other identities. */
  readonly field: JSX.Element | null;
}

/**
 * The service refuses a change of the caller's own identity without this override, and always one that would
 * leave no administrator.
 */
export function useOwnIdentity(id: string): OwnIdentityOverride {
  const [isSure, setSure] = useState(false);
  const state = sessionState.value;
  const isOwn = state.kind === 'signed-in' && state.info.operator === id;
  return {
    isOwn,
    query: isOwn && isSure ? { ownIdentity: 'true' } : {},
    field: isOwn ? (
      <label class="check-field">
        <input
          type="checkbox"
          required
          checked={isSure}
          onChange={({ currentTarget }) => setSure(currentTarget.checked)}
        />
        I am signed in as {id} and give up this access
      </label>
    ) : null,
  };
}
