import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { api } from '../../api/page-api.ts';
import type { ApiListedToken } from '../../api/api-types.ts';
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

/** Empty: all. */
type ShownStatus = (typeof statuses)[number];

/** The tokens that exist. Their secrets are not known to the service. */
export function TokenList(): JSX.Element {
  const [status, setStatus] = useState<ShownStatus>('active');
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
    <Panel title="Tokens" aside={<StatusField status={status} change={setStatus} />}>
      <ProblemText problem={pages.problem} />
      {tokens.length === 0 && !pages.isLoading ? (
        <Empty title="No token. Create one above, and use it on the device." />
      ) : (
        <TokenTable tokens={tokens} revoke={setRevoking} />
      )}
      {pages.hasMore ? (
        <button type="button" disabled={pages.isLoading} onClick={pages.loadMore}>
          Show older tokens
        </button>
      ) : null}
      {revoking === undefined ? null : (
        <RevokeDialog name={revoking} close={() => setRevoking(undefined)} changed={pages.reload} />
      )}
    </Panel>
  );
}

function StatusField({
  status,
  change,
}: {
  readonly status: ShownStatus;
  readonly change: (status: ShownStatus) => void;
}): JSX.Element {
  return (
    <label>
      Show{' '}
      <select
        value={status}
        onChange={({ currentTarget }) => change(choiceOf(statuses, currentTarget.value))}
      >
        <option value="active">active</option>
        <option value="used">used</option>
        <option value="expired">expired</option>
        <option value="">all</option>
      </select>
    </label>
  );
}

function TokenTable({
  tokens,
  revoke,
}: {
  readonly tokens: readonly ApiListedToken[];
  readonly revoke: (name: string) => void;
}): JSX.Element {
  return (
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
            <TokenRow key={token.name} token={token} revoke={revoke} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function TokenRow({
  token,
  revoke,
}: {
  readonly token: ApiListedToken;
  readonly revoke: (name: string) => void;
}): JSX.Element {
  return (
    <tr>
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
            onClick={() => revoke(token.name)}
          >
            Revoke
          </button>
        ) : null}
      </td>
    </tr>
  );
}

function RevokeDialog({
  name,
  close,
  changed,
}: {
  readonly name: string;
  readonly close: () => void;
  readonly changed: () => void;
}): JSX.Element {
  const run = async (): Promise<void> => {
    await api.revokeToken({ name });
    notify('The token is revoked.');
    changed();
  };
  return (
    <ActionDialog title={`Revoke ${name}`} action="Revoke" isDangerous close={close} run={run}>
      <p>The token can no longer be used. Certificates that it produced stay valid.</p>
    </ActionDialog>
  );
}
