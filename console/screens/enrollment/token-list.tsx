import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { api } from '../../api/page-api.ts';
import { listenLive } from '../../api/live-feed.ts';
import { hasRole } from '../../api/session-state.ts';
import { usePages } from '../../api/use-pages.ts';
import { ActionDialog } from '../../parts/action-dialog.tsx';
import { choiceOf } from '../../parts/choice.ts';
import { notify, ProblemText } from '../../parts/notices.tsx';
import { devicePath, PageLink } from '../../parts/page-link.tsx';
import { Badge, Empty, Panel } from '../../parts/small-parts.tsx';
import { TimeText } from '../../parts/time-text.tsx';

const tones = { active: 'good', used: 'idle', expired: 'warn' } as const;

const statuses = ['', 'active', 'used', 'expired'] as const;

/** The tokens that exist. Their secrets are not known to the service. */
export function TokenList(): JSX.Element {
  const [status, setStatus] = useState<(typeof statuses)[number]>('active');
  const [revoking, setRevoking] = useState<string>();
  const pages = usePages(
    (client, after) =>
      client.listTokens({
        query: { limit: 50, status: status === '' ? undefined : status, after },
      }),
    ({ tokens }) => tokens.length === 0,
  );
  const reload = useRef(pages.reload);
  useEffect(
    () =>
      listenLive('audit', ({ action }) => {
        if (/^(?:token-|certificate-issued)/.test(action)) reload.current();
      }),
    [],
  );
  const tokens = pages.pages.flatMap((page) => page.tokens);
  return (
    <Panel
      title="Tokens"
      aside={
        <label>
          Show{' '}
          <select
            value={status}
            onChange={({ currentTarget }) => setStatus(choiceOf(statuses, currentTarget.value))}
          >
            <option value="active">active</option>
            <option value="used">used</option>
            <option value="expired">expired</option>
            <option value="">all</option>
          </select>
        </label>
      }
    >
      <ProblemText problem={pages.problem} />
      {tokens.length === 0 && !pages.isLoading ? (
        <Empty title="No token. Create one above, and use it on the device." />
      ) : (
        <div class="scroll short" tabIndex={0} role="region" aria-label="List of tokens">
          <table>
            <thead>
              <tr>
                <th>Device or group</th>
                <th>Status</th>
                <th>Used</th>
                <th>Created</th>
                <th>Ends</th>
                <th>Name in the audit log</th>
                <th>
                  <span class="hidden">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {tokens.map((token) => (
                <tr key={token.name}>
                  <td>
                    {token.device === null ? (
                      `group ${token.group ?? ''}`
                    ) : (
                      <PageLink to={devicePath(token.device)}>{token.device}</PageLink>
                    )}
                  </td>
                  <td>
                    <Badge tone={tones[token.status]}>{token.status}</Badge>
                  </td>
                  <td>
                    {token.uses} of {token.usesMax}
                  </td>
                  <td class="nowrap">
                    <TimeText at={token.createdAt} />
                  </td>
                  <td class="nowrap">
                    <TimeText at={token.expiresAt} />
                  </td>
                  <td>
                    <code>{token.name}</code>
                  </td>
                  <td>
                    {token.status === 'active' && hasRole('operator') ? (
                      <button
                        type="button"
                        class="small danger"
                        aria-label={`Revoke ${token.name}`}
                        onClick={() => setRevoking(token.name)}
                      >
                        Revoke
                      </button>
                    ) : null}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {pages.hasMore ? (
        <button type="button" disabled={pages.isLoading} onClick={pages.loadMore}>
          Show older tokens
        </button>
      ) : null}
      {revoking === undefined ? null : (
        <ActionDialog
          title={`Revoke ${revoking}`}
          action="Revoke"
          isDangerous
          close={() => setRevoking(undefined)}
          run={async () => {
            await api.revokeToken({ name: revoking });
            notify('The token is revoked.');
            pages.reload();
          }}
        >
          <p>The token can no longer be used. Certificates that it produced stay valid.</p>
        </ActionDialog>
      )}
    </Panel>
  );
}
