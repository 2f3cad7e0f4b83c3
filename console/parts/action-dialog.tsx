/** A dialog that asks before something is changed. @module */
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { problemFrom, type ApiProblem } from '../api/call-api.ts';
import { ProblemText } from './notices.tsx';

export interface ActionDialogProps {
  readonly title: string;
  readonly action: string;
  readonly children: ComponentChildren;
  readonly isDangerous?: boolean;
  /** Text that must be typed before the action can start. */
  readonly confirmation?: string;
  /** Rejects with the reason why the action failed; the dialog then stays open and shows it. */
  readonly run: () => Promise<void>;
  readonly close: () => void;
}

export function ActionDialog(props: ActionDialogProps): JSX.Element {
  const { title, action, children, confirmation, isDangerous = false, close } = props;
  const dialog = useRef<HTMLDialogElement>(null);
  const [typed, setTyped] = useState('');
  const [isRunning, setRunning] = useState(false);
  const [problem, setProblem] = useState<ApiProblem>();
  useEffect(() => dialog.current?.showModal(), []);
  const submit = (event: Event): void => {
    event.preventDefault();
    if (isRunning || (confirmation !== undefined && typed !== confirmation)) return;
    setRunning(true);
    setProblem(undefined);
    props.run().then(close, (error: unknown) => {
      setRunning(false);
      setProblem(problemFrom(error));
    });
  };
  return (
    <dialog ref={dialog} onClose={close} aria-label={title}>
      <form onSubmit={submit}>
        <h2>{title}</h2>
        {children}
        {confirmation === undefined ? null : (
          <label class="field">
            <span>
              Type <code>{confirmation}</code> to confirm
            </span>
            <input
              value={typed}
              onInput={({ currentTarget }) => setTyped(currentTarget.value)}
              autocomplete="off"
              spellcheck={false}
            />
          </label>
        )}
        <ProblemText problem={problem} />
        <footer>
          <button type="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button
            type="submit"
            class={isDangerous ? 'danger' : 'primary'}
            disabled={isRunning || (confirmation !== undefined && typed !== confirmation)}
          >
            {isRunning ? 'Working…' : action}
          </button>
        </footer>
      </form>
    </dialog>
  );
}
