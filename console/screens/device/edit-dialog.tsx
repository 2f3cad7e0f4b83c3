import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { api } from '../../api/page-api.ts';
import type { ApiDevice } from '../../api/api-types.ts';
import { ActionDialog } from '../../parts/action-dialog.tsx';
import { notify } from '../../parts/notices.tsx';
import { RoleField } from '../../parts/role-field.tsx';

export interface EditDialogProps {
  readonly device: ApiDevice;
  readonly close: () => void;
  readonly changed: () => void;
}

/** Changes group, role and attributes. */
export function EditDialog({ device, close, changed }: EditDialogProps): JSX.Element {
  const [group, setGroup] = useState(device.group ?? '');
  const [role, setRole] = useState(device.role === device.kind ? '' : device.role);
  const [text, setText] = useState(
    Object.entries(device.attributes)
      .map(([name, value]) => `${name}=${value}`)
      .join('\n'),
  );
  const wrong = text.split('\n').find((line) => line.trim() !== '' && !/^[^=]+=/.test(line));
  const run = async (): Promise<void> => {
    if (wrong !== undefined) throw new Error(`This line is not name=value: ${wrong}`);
    const attributes: Record<string, string | null> = {};
    for (const name of Object.keys(device.attributes)) attributes[name] = null;
    for (const line of text.split('\n')) {
      const at = line.indexOf('=');
      if (at > 0) attributes[line.slice(0, at).trim()] = line.slice(at + 1).trim();
    }
    await api.editDevice({
      id: device.id,
      body: {
        group: group === '' ? null : group,
        attributes,
        ...(device.kind === 'device' ? { role: role === '' ? null : role } : {}),
      },
    });
    notify(`${device.id} is changed.`);
    changed();
  };
  return (
    <ActionDialog title={`Edit ${device.id}`} action="Save" run={run} close={close}>
      <label class="field">
        <span>Group (empty: none)</span>
        <input
          value={group}
          maxLength={128}
          onInput={({ currentTarget }) => setGroup(currentTarget.value)}
        />
      </label>
      {device.kind === 'device' ? <RoleField value={role} change={setRole} unset="device" /> : null}
      <label class="field">
        <span>Attributes, one name=value in each line</span>
        <textarea
          rows={6}
          value={text}
          spellcheck={false}
          aria-invalid={wrong !== undefined}
          onInput={({ currentTarget }) => setText(currentTarget.value)}
        />
        {wrong === undefined ? null : (
          <small class="bad">This line is not name=value: {wrong}</small>
        )}
      </label>
    </ActionDialog>
  );
}
