import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { api } from '../../api/page-api.ts';
import type { ApiKeyCreated } from '../../api/api-types.ts';
import { useResource } from '../../api/use-resource.ts';
import { ActionDialog } from '../../parts/action-dialog.tsx';
import { notify, ProblemText } from '../../parts/notices.tsx';
import { CopyText, Empty, Panel } from '../../parts/small-parts.tsx';
import { TimeText } from '../../parts/time-text.tsx';

/** Keys for programs. */
export function KeyList(): JSX.Element {
  const { data, problem, reload } = useResource((client) => client.listKeys());
  const [isAdding, setAdding] = useState(false);
  const [name, setName] = useState('');
  const [operator, setOperator] = useState('');
  const [created, setCreated] = useState<ApiKeyCreated>();
  const [deleting, setDeleting] = useState<string>();
  const add = async (): Promise<void> => {
    const body = { name, ...(operator === '' ? {} : { operator }) };
    setCreated(await api.createKey({ body }));
    reload();
  };
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
        <ul class="brokers">
          {(data?.keys ?? []).map((key) => (
            <li key={key.id}>
              <strong>{key.name}</strong>{' '}
              <span class="faint">
                {key.operator}, {key.role},{' '}
                {key.scopes === null ? 'all groups of operations' : key.scopes.join(', ')}, ends{' '}
                <TimeText at={key.expiresAt} />
              </span>{' '}
              <button
                type="button"
                class="small danger"
                aria-label={`Delete ${key.name}`}
                onClick={() => setDeleting(key.id)}
              >
                Delete
              </button>
            </li>
          ))}
        </ul>
      )}
      {isAdding ? (
        <ActionDialog title="Create a key" action="Create" run={add} close={() => setAdding(false)}>
          <label class="field">
            <span>Name</span>
            <input
              value={name}
              required
              maxLength={64}
              onInput={({ currentTarget }) => setName(currentTarget.value)}
            />
          </label>
          <label class="field">
            <span>Operator (empty: you)</span>
            <input
              value={operator}
              maxLength={128}
              onInput={({ currentTarget }) => setOperator(currentTarget.value)}
            />
          </label>
        </ActionDialog>
      ) : null}
      {deleting === undefined ? null : (
        <ActionDialog
          title="Delete the key"
          action="Delete"
          isDangerous
          close={() => setDeleting(undefined)}
          run={async () => {
            await api.deleteKey({ id: deleting });
            notify('The key is deleted.');
            reload();
          }}
        >
          <p>Programs that use it are refused at once.</p>
        </ActionDialog>
      )}
    </Panel>
  );
}
