import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { api } from '../../api/page-api.ts';
import type { ApiListedToken } from '../../api/api-types.ts';
import { listenLive } from '../../api/live-feed.ts';
import { hasRole } from '../../api/session-state.ts';
import { usePages } from '../../api/use-pages.ts';
import { ActionDialog } from '../../parts/action-dialog.tsx';
import { choiceOf } from '../../parts/choice.ts';
import { DataTable, type Column } from '../../parts/data-table.tsx';
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
        <DataTable
          label="List of tokens"
          rows={tokens}
          columns={columns(setRevoking)}
          keyOf={({ name }) => name}
          isShort
        />
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

function columns(revoke: (name: string) => void): readonly Column<ApiListedToken>[] {
  return [
    {
      title: 'Device or group',
      cell: ({ device, group }) =>
        device === null ? (
          `group ${group ?? ''}`
        ) : (
          <PageLink to={devicePath(device)}>{device}</PageLink>
        ),
    },
    { title: 'Status', cell: ({ status }) => <Badge tone={tones[status]}>{status}</Badge> },
    { title: 'Used', class: 'nowrap', cell: ({ uses, usesMax }) => `${uses} of ${usesMax}` },
    { title: 'Created', class: 'nowrap', cell: ({ createdAt }) => <TimeText at={createdAt} /> },
    { title: 'Ends', class: 'nowrap', cell: ({ expiresAt }) => <TimeText at={expiresAt} /> },
    { title: 'Name in the audit log', cell: ({ name }) => <code>{name}</code> },
    {
      title: 'Actions',
      isTitleHidden: true,
      class: 'row-actions',
      cell: ({ name, status }) =>
        status === 'active' && hasRole('operator') ? (
          <button
            type="button"
            class="small danger"
            aria-label={`Revoke ${name}`}
            onClick={() => revoke(name)}
          >
            Revoke
          </button>
        ) : null,
    },
  ];
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
