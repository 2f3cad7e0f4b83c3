/** A button that only administrators see. @module */
import type { ComponentChildren, JSX } from 'preact';
import { hasRole } from '../api/session-state.ts';

/** Is absent for everyone else; the service checks the role again. */
export function AdminButton({
  press,
  children,
}: {
  readonly press: () => void;
  readonly children: ComponentChildren;
}): JSX.Element | null {
  if (!hasRole('admin')) return null;
  return (
    <button type="button" onClick={press}>
      {children}
    </button>
  );
}
