import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { api } from '../api/page-api.ts';
import type { ApiSignInOptions } from '../api/api-types.ts';
import { CopyText } from './small-parts.tsx';

/** What a person without a session sees: the ways to sign in. */
export function SignInPage({ reason }: { readonly reason: string | undefined }): JSX.Element {
  const [options, setOptions] = useState<ApiSignInOptions>();
  useEffect(() => {
    // Behind the loopback proxy nothing can be read without a session; then only the command helps.
    api.getSignInOptions().then(setOptions, () => undefined);
  }, []);
  return (
    <main class="sign-in">
      <h1>Flotilla</h1>
      {reason === undefined ? null : (
        <p role="alert" class="problem">
          {reason}
        </p>
      )}
      {options?.oidc == null ? null : (
        <a class="button primary" href="/v1/sign-in/oidc">
          Sign in with {options.oidc.label}
        </a>
      )}
      <h2>Sign in with a one-time URL</h2>
      <p>On the machine that has the administrator's certificate, run:</p>
      <CopyText text="flotilla console" />
      <p>For a browser on another machine, an administrator creates a link for one operator:</p>
      <CopyText text="flotilla console --link --operator NAME" />
      <p>
        <button type="button" onClick={() => location.reload()}>
          Try again
        </button>
      </p>
    </main>
  );
}
