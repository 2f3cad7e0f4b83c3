import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { api } from '../../api/page-api.ts';
import type { ApiKey, ApiKeyCreated } from '../../api/api-types.ts';
import { sessionState } from '../../api/session-state.ts';
import { useResource } from '../../api/use-resource.ts';
import { ActionDialog } from '../../parts/action-dialog.tsx';
import { DataTable, type Column } from '../../parts/data-table.tsx';
import { notify, ProblemText } from '../../parts/notices.tsx';
import { RequiredField } from '../../parts/required-field.tsx';
import { CopyText, Empty, Panel } from '../../parts/small-parts.tsx';
import { TimeText } from '../../parts/time-text.tsx';

/** Keys for programs. */
export function KeyList(): JSX.Element {
  const { data, problem, reload } = useResource((client) => client.listKeys());
  const [isAdding, setAdding] = useState(false);
  const [created, setCreated] = useState<ApiKeyCreated>();
  const [deleting, setDeleting] = useState<ApiKey>();
  return (
    <Panel
      title="API keys"
      aside={
        <button type="button" onClick={() => setAdding(true)}>
          Create a key
        </button>
      }
    >
      <ProblemText problem={problem} />
      {created === undefined ? null : (
        <div role="status">
          <p>The key {created.name} is shown only now:</p>
          <CopyText text={created.key} label="Copy key" />
        </div>
      )}
      {data?.keys.length === 0 ? (
        <Empty title="No key. Programs send one as Authorization: Bearer KEY." />
      ) : (
        <DataTable
          label="List of keys"
          rows={data?.keys ?? []}
          columns={columns(setDeleting)}
          keyOf={({ id }) => id}
        />
      )}
      {isAdding ? (
        <AddDialog
          close={() => setAdding(false)}
          created={(key) => {
            setCreated(key);
            reload();
          }}
        />
      ) : null}
      {deleting === undefined ? null : (
        <DeleteDialog
          apiKey={deleting}
          close={() => setDeleting(undefined)}
          deleted={() => {
            if (created?.id === deleting.id) setCreated(undefined);
            reload();
          }}
        />
      )}
    </Panel>
  );
}

function columns(remove: (key: ApiKey) => void): readonly Column<ApiKey>[] {
  return [
    { title: 'Name', class: 'wrap', cell: ({ name }) => name },
    { title: 'Operator', class: 'wrap', cell: ({ operator }) => operator },
    { title: 'Role', cell: ({ role }) => role },
    { title: 'Operations', cell: ({ scopes }) => scopes?.join(', ') ?? 'all' },
    { title: 'Ends', class: 'nowrap', cell: ({ expiresAt }) => <TimeText at={expiresAt} /> },
    {
      title: 'Actions',
      isTitleHidden: true,
      class: 'row-actions',
      cell: (key) => (
        <button
          type="button"
          class="small danger"
          aria-label={`Delete ${key.name}`}
          onClick={() => remove(key)}
        >
          Delete
        </button>
      ),
    },
  ];
}

function AddDialog({
  created,
  close,
}: {
  readonly created: (key: ApiKeyCreated) => void;
  readonly close: () => void;
}): JSX.Element {
  const [name, setName] = useState('');
  const [operator, setOperator] = useState('');
  const state = sessionState.value;
  // A certificate is not an operator, and only operators have keys.
  const isOperator = state.kind === 'signed-in' && state.info.via !== 'certificate';
  const run = async (): Promise<void> => {
    const body = { name, ...(operator === '' ? {} : { operator }) };
    created(await api.createKey({ body }));
  };
  return (
    <ActionDialog title="Create a key" action="Create" run={run} close={close}>
      <RequiredField label="Name" value={name} change={setName} maxLength={64} />
      <label class="field">
        <span>{isOperator ? 'Operator (empty: you)' : 'Operator'}</span>
        <input
          value={operator}
          required={!isOperator}
          maxLength={128}
          onInput={({ currentTarget }) => setOperator(currentTarget.value)}
        />
      </label>
    </ActionDialog>
  );
}

function DeleteDialog({
  apiKey: { id, name },
  deleted,
  close,
}: {
  readonly apiKey: ApiKey;
  readonly deleted: () => void;
  readonly close: () => void;
}): JSX.Element {
  const run = async (): Promise<void> => {
    await api.deleteKey({ id });
    notify(`The key ${name} is deleted.`);
    deleted();
  };
  return (
    <ActionDialog title={`Delete ${name}`} action="Delete" isDangerous close={close} run={run}>
      <p>Programs that use it are refused at once.</p>
    </ActionDialog>
  );
}
