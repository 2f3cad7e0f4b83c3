/** The dialogs of the list of operators. @module */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { api } from '../../api/page-api.ts';
import type { ApiOperator } from '../../api/api-types.ts';
import { ActionDialog } from '../../parts/action-dialog.tsx';
import { choiceOf } from '../../parts/choice.ts';
import { notify } from '../../parts/notices.tsx';
import { useOwnIdentity } from '../../parts/own-identity.tsx';
import { RequiredField } from '../../parts/required-field.tsx';

export const operatorRoleNames = ['viewer', 'operator', 'admin'] as const;
export type OperatorRoleName = (typeof operatorRoleNames)[number];

/** What an operator is to become. */
export type OperatorChange = Pick<ApiOperator, 'name' | 'role' | 'disabled'>;

interface DialogProps {
  readonly changed: () => void;
  readonly close: () => void;
}

export async function putOperator(
  { name, role, disabled }: OperatorChange,
  query: { readonly ownIdentity?: 'true' } = {},
): Promise<void> {
  await api.putOperator({ name, query, body: { role, disabled } });
  notify(`${name} is ${disabled ? 'disabled' : role}.`);
}

export function AddOperatorDialog({ changed, close }: DialogProps): JSX.Element {
  const [name, setName] = useState('');
  const [role, setRole] = useState<OperatorRoleName>('viewer');
  const run = (): Promise<void> => putOperator({ name, role, disabled: false }).then(changed);
  return (
    <ActionDialog title="Add an operator" action="Add" run={run} close={close}>
      <RequiredField label="Name" value={name} change={setName} maxLength={128} />
      <label class="field">
        <span>Role</span>
        <select
          value={role}
          onChange={({ currentTarget }) =>
            setRole(choiceOf(operatorRoleNames, currentTarget.value))
          }
        >
          <option value="viewer">viewer: sees everything, changes nothing</option>
          <option value="operator">operator: changes devices and tokens</option>
          <option value="admin">admin: also changes the policy, operators and authorities</option>
        </select>
      </label>
    </ActionDialog>
  );
}

/** Asks before the person who is signed in changes the own role or disables the own name. */
export function OwnChangeDialog({
  change,
  changed,
  close,
}: DialogProps & { readonly change: OperatorChange }): JSX.Element {
  const own = useOwnIdentity(change.name);
  const what = change.disabled ? 'Disable' : `Change the role to ${change.role}`;
  return (
    <ActionDialog
      title={`${what}: ${change.name}`}
      action={change.disabled ? 'Disable' : 'Change'}
      isDangerous
      run={() => putOperator(change, own.query).then(changed)}
      close={close}
    >
      <p>This is the operator that you are signed in as.</p>
      {own.field}
    </ActionDialog>
  );
}

export function DeleteOperatorDialog({
  name,
  changed,
  close,
}: DialogProps & { readonly name: string }): JSX.Element {
  const own = useOwnIdentity(name);
  const run = async (): Promise<void> => {
    await api.deleteOperator({ name, query: own.query });
    notify(`${name} is deleted.`);
    changed();
  };
  return (
    <ActionDialog
      title={`Delete ${name}`}
      action="Delete"
      isDangerous
      confirmation={name}
      close={close}
      run={run}
    >
      <p>All sessions and keys of this operator end at once.</p>
      {own.field}
    </ActionDialog>
  );
}
