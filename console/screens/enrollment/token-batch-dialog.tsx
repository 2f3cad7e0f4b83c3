import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { ApiToken } from '../../api/api-types.ts';
import { CopyText, formatCount } from '../../parts/small-parts.tsx';
import { TimeText } from '../../parts/time-text.tsx';
import { tokenFileOf } from './token-batch.ts';

/** Shows the tokens of many devices, once, as a file. */
export function TokenBatchDialog({
  tokens,
  close,
}: {
  readonly tokens: readonly ApiToken[];
  readonly close: () => void;
}): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const file = tokenFileOf(tokens);
  const expiresAt = tokens.at(0)?.expiresAt ?? null;
  return (
    <dialog ref={dialog} onClose={close} aria-label="New tokens" class="wide">
      <h2>Tokens for {formatCount(tokens.length)} devices</h2>
      <p>
        They are shown only now. Each can be used once, until <TimeText at={expiresAt} isAbsolute />
        .
      </p>
      <p class="faint">
        The file has a line for each device: its id, when the token expires, the command that the
        device runs, and the text of the QR code.
      </p>
      <div class="tokens">
        <CopyText text={file} label="Copy all" />
      </div>
      <footer>
        <a
          class="button primary"
          href={`data:text/csv;charset=utf-8,${encodeURIComponent(file)}`}
          download="tokens.csv"
        >
          Download the file (CSV)
        </a>
        <button type="button" onClick={() => dialog.current?.close()}>
          Done
        </button>
      </footer>
    </dialog>
  );
}
