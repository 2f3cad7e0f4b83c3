import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { api } from '../../api/page-api.ts';
import { ActionDialog } from '../../parts/action-dialog.tsx';
import { notify } from '../../parts/notices.tsx';
import { RoleField } from '../../parts/role-field.tsx';

export interface FactoryDialogProps {
  readonly close: () => void;
  readonly changed: () => void;
}

/** Registers the CA of a manufacturer. */
export function FactoryDialog({ close, changed }: FactoryDialogProps): JSX.Element {
  const [name, setName] = useState('');
  const [certificate, setCertificate] = useState('');
  const [allowed, setAllowed] = useState('');
  const [group, setGroup] = useState('');
  const [role, setRole] = useState('');
  const [approval, setApproval] = useState(false);
  const run = async (): Promise<void> => {
    const listed = allowed.split(/\s+/).filter((one) => one !== '');
    await api.putFactory({
      body: {
        name,
        certificate,
        approval,
        ...(listed.length === 0 ? {} : { allowed: listed }),
        ...(group === '' ? {} : { group }),
        ...(role === '' ? {} : { role }),
      },
    });
    notify(`The factory ${name} is added.`);
    changed();
  };
  return (
    <ActionDialog title="Add a factory" action="Add" run={run} close={close}>
      <TextField label="Name" value={name} change={setName} />
      <label class="field">
        <span>Certificate of its CA (PEM)</span>
        <textarea
          rows={6}
          value={certificate}
          required
          spellcheck={false}
          placeholder="-----BEGIN CERTIFICATE-----"
          onInput={({ currentTarget }) => setCertificate(currentTarget.value)}
        />
      </label>
      <label class="field">
        <span>Serial numbers or common names that may enroll, one in each line (empty: all)</span>
        <textarea
          rows={3}
          value={allowed}
          spellcheck={false}
          onInput={({ currentTarget }) => setAllowed(currentTarget.value)}
        />
      </label>
      <TextField label="Group (empty: none)" value={group} change={setGroup} isOptional />
      <RoleField value={role} change={setRole} unset="device" />
      <label class="check-field">
        <input
          type="checkbox"
          checked={approval}
          onChange={({ currentTarget }) => setApproval(currentTarget.checked)}
        />
        Each device waits for an operator
      </label>
    </ActionDialog>
  );
}

function TextField({
  label,
  value,
  change,
  isOptional = false,
}: {
  readonly label: string;
  readonly value: string;
  readonly change: (value: string) => void;
  readonly isOptional?: boolean;
}): JSX.Element {
  return (
    <label class="field">
      <span>{label}</span>
      <input
        value={value}
        required={!isOptional}
        maxLength={128}
        spellcheck={false}
        onInput={({ currentTarget }) => change(currentTarget.value)}
      />
    </label>
  );
}
