/** Short messages about what was done. @module */
import { signal } from '@preact/signals';
import type { JSX } from 'preact';
import { problemFrom, type ApiProblem } from '../api/call-api.ts';

interface Notice {
  readonly id: number;
  readonly text: string;
  readonly isError: boolean;
}

const shownMs = 8000;
const noticesMax = 4;
const notices = signal<readonly Notice[]>([]);
let lastId = 0;

/** Shows a message for some seconds. */
export function notify(text: string, isError = false): void {
  const id = ++lastId;
  notices.value = [...notices.value, { id, text, isError }].slice(-noticesMax);
  setTimeout(() => dismiss(id), shownMs);
}

/** Shows why an action failed. */
export function notifyFailure(error: unknown): void {
  notify(problemFrom(error).message, true);
}

function dismiss(id: number): void {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}

export function NoticeList(): JSX.Element {
  return (
    <div class="notices" role="status" aria-live="polite">
      {notices.value.map(({ id, text, isError }) => (
        <div key={id} class={isError ? 'notice bad' : 'notice'}>
          <span>{text}</span>
          <button type="button" class="plain" aria-label="Dismiss" onClick={() => dismiss(id)}>
            ×
          </button>
        </div>
      ))}
    </div>
  );
}

/** An error, with what to do next. */
export function ProblemText({
  problem,
}: {
  readonly problem: ApiProblem | undefined;
}): JSX.Element | null {
  if (problem === undefined) return null;
  return (
    <div class="problem" role="alert">
      <strong>{problem.message}.</strong> {problem.detail === undefined ? null : problem.detail}
      {problem.advice === undefined ? null : <p>{problem.advice}</p>}
    </div>
  );
}
