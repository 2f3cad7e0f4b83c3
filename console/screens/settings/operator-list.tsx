import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { problemFrom } from '../../api/call-api.ts';
import { api } from '../../api/page-api.ts';
import type { ApiLink } from '../../api/api-types.ts';
import { useResource } from '../../api/use-resource.ts';
import { ActionDialog } from '../../parts/action-dialog.tsx';
import { choiceOf } from '../../parts/choice.ts';
import { notify, ProblemText } from '../../parts/notices.tsx';
import { Badge, CopyText, Empty, Panel } from '../../parts/small-parts.tsx';
import { TimeText } from '../../parts/time-text.tsx';

const roles = ['viewer', 'operator', 'admin'] as const;
type Role = (typeof roles)[number];
const linkSeconds = 3600;

/** Who can sign in. */
export function OperatorList(): JSX.Element {
  const { data, problem, reload } = useResource((client) => client.listOperators());
  const [isAdding, setAdding] = useState(false);
  const [deleting, setDeleting] = useState<string>();
  const [link, setLink] = useState<ApiLink>();
  const put = (name: string, role: Role, disabled: boolean): Promise<void> =>
    api.putOperator({ name, body: { role, disabled } }).then(() => {
      notify(`${name} is ${disabled ? 'disabled' : role}.`);
      reload();
    });
  const failed = (error: unknown): void => notify(problemFrom(error).message, true);
  const createLink = (operator: string): void => {
    api.createSignInLink({ body: { operator, ttlSeconds: linkSeconds } }).then(setLink, failed);
  };
  return (
    <Panel
      title="Operators"
      aside={
        <button type="button" onClick={() => setAdding(true)}>
          Add an operator
        </button>
      }
    >
      <ProblemText problem={problem} />
      {data?.operators.length === 0 ? (
        <Empty title="No operator yet: only the administrator's certificate can sign in." />
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-label="List of operators">
          <table>
            <thead>
              <tr>
                <th>Name</th>
                <th>Role</th>
                <th>Status</th>
                <th>Keys</th>
                <th>Created</th>
                <th>
                  <span class="hidden">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {(data?.operators ?? []).map(
                ({ name, role, disabled, keys, createdAt, createdBy }) => (
                  <tr key={name}>
                    <td>{name}</td>
                    <td>
                      <select
                        aria-label={`Role of ${name}`}
                        value={role}
                        onChange={({ currentTarget }) => {
                          put(name, choiceOf(roles, currentTarget.value), disabled).catch(failed);
                        }}
                      >
                        {roles.map((one) => (
                          <option key={one} value={one}>
                            {one}
                          </option>
                        ))}
                      </select>
                    </td>
                    <td>
                      <Badge tone={disabled ? 'warn' : 'good'}>
                        {disabled ? 'disabled' : 'enabled'}
                      </Badge>
                    </td>
                    <td>{keys}</td>
                    <td>
                      <TimeText at={createdAt} /> by {createdBy}
                    </td>
                    <td class="nowrap">
                      <button type="button" class="small" onClick={() => createLink(name)}>
                        Sign-in link
                      </button>{' '}
                      <button
                        type="button"
                        class="small"
                        onClick={() => void put(name, role, !disabled).catch(failed)}
                      >
                        {disabled ? 'Enable' : 'Disable'}
                      </button>{' '}
                      <button
                        type="button"
                        class="small danger"
                        aria-label={`Delete ${name}`}
                        onClick={() => setDeleting(name)}
                      >
                        Delete
                      </button>
                    </td>
                  </tr>
                ),
              )}
            </tbody>
          </table>
        </div>
      )}
      {link === undefined ? null : (
        <div role="status">
          <p>
            This link signs {link.operator} in, once, until{' '}
            <TimeText at={link.expiresAt} isAbsolute />:
          </p>
          <CopyText text={link.url} label="Copy link" />
        </div>
      )}
      {isAdding ? <AddDialog put={put} close={() => setAdding(false)} /> : null}
      {deleting === undefined ? null : (
        <ActionDialog
          title={`Delete ${deleting}`}
          action="Delete"
          isDangerous
          confirmation={deleting}
          close={() => setDeleting(undefined)}
          run={async () => {
            await api.deleteOperator({ name: deleting });
            notify(`${deleting} is deleted.`);
            reload();
          }}
        >
          <p>All sessions and keys of this operator end at once.</p>
        </ActionDialog>
      )}
    </Panel>
  );
}

function AddDialog({
  put,
  close,
}: {
  readonly put: (name: string, role: Role, disabled: boolean) => Promise<void>;
  readonly close: () => void;
}): JSX.Element {
  const [name, setName] = useState('');
  const [role, setRole] = useState<Role>('viewer');
  return (
    <ActionDialog
      title="Add an operator"
      action="Add"
      run={() => put(name, role, false)}
      close={close}
    >
      <label class="field">
        <span>Name</span>
        <input
          value={name}
          required
          maxLength={128}
          spellcheck={false}
          onInput={({ currentTarget }) => setName(currentTarget.value)}
        />
      </label>
      <label class="field">
        <span>Role</span>
        <select
          value={role}
          onChange={({ currentTarget }) => setRole(choiceOf(roles, currentTarget.value))}
        >
          <option value="viewer">viewer: sees everything, changes nothing</option>
          <option value="operator">operator: changes devices and tokens</option>
          <option value="admin">admin: also changes the policy, operators and authorities</option>
        </select>
      </label>
    </ActionDialog>
  );
}
