import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { ApiGroupToken, ApiToken } from '../api/api-types.ts';
import { QrCode } from './qr-code.tsx';
import { qrText } from './qr-text.ts';
import { CopyText } from './small-parts.tsx';
import { TimeText } from './time-text.tsx';

/** Shows a new token, once. */
export function TokenDialog({
  token,
  close,
}: {
  readonly token: ApiToken | ApiGroupToken;
  readonly close: () => void;
}): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const isForOne = 'command' in token;
  const { url, fingerprint } = token;
  return (
    <dialog ref={dialog} onClose={close} aria-label="New token" class="wide">
      <h2>Token for {isForOne ? token.device : `${token.uses} devices of ${token.group}`}</h2>
      <p>
        The token is shown only now. It can be used until{' '}
        <TimeText at={token.expiresAt} isAbsolute />.
      </p>
      <CopyText text={token.token} label="Copy token" />
      {isForOne ? (
        <>
          <p>On the device:</p>
          <CopyText text={token.command} label="Copy command" />
        </>
      ) : (
        <CopyText
          text={`FLOTILLA_TOKEN=${token.token} flotilla device enroll --url ${url} --fingerprint ${fingerprint} --id ID --out ID`}
          label="Copy command"
        />
      )}
      <div class="qr-row">
        <QrCode text={qrText(token)} />
        <p class="faint">
          The QR code contains the address of the service, the fingerprint of its root and the
          token, as JSON. Show it to the camera of the device.
        </p>
      </div>
      <footer>
        <button type="button" onClick={() => dialog.current?.close()}>
          Done
        </button>
      </footer>
    </dialog>
  );
}
