/** Who is signed in. @module */
import { computed, signal } from '@preact/signals';
import type { ApiSession } from './api-types.ts';

export type SessionState =
  | { readonly kind: 'loading' }
  | { readonly kind: 'signed-out'; readonly reason: string | undefined }
  | { readonly kind: 'signed-in'; readonly info: ApiSession };

export const sessionState = signal<SessionState>({ kind: 'loading' });

const roleOrder = ['viewer', 'operator', 'admin'] as const;
export type ConsoleRole = (typeof roleOrder)[number];

const rank = computed(() => {
  const state = sessionState.value;
  return state.kind === 'signed-in' ? roleOrder.indexOf(state.info.role) : -1;
});

/** Whether the person has at least this role. The service checks it again with each call. */
export function hasRole(role: ConsoleRole): boolean {
  return rank.value >= roleOrder.indexOf(role);
}
