import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { ApiProblem, problemFrom } from '../../api/call-api.ts';
import { api } from '../../api/page-api.ts';
import { ActionDialog } from '../../parts/action-dialog.tsx';
import { notify } from '../../parts/notices.tsx';
import { RoleField } from '../../parts/role-field.tsx';
import {
  attributeChanges,
  changedFields,
  editOf,
  wrongLine,
  type DeviceEdit,
} from './device-edit.ts';
import { readTaggedDevice, type TaggedDevice } from './tagged-device.ts';

export interface EditDialogProps {
  /** As the device was when the dialog opened. */
  readonly read: TaggedDevice;
  readonly close: () => void;
  readonly changed: () => void;
}

const conflictStatus = 412;

/** Changes group, role and attributes, if nobody else did so since the dialog opened. */
export function EditDialog({ read, close, changed }: EditDialogProps): JSX.Element {
  const [base, setBase] = useState(read);
  const [edit, setEdit] = useState(() => editOf(read.device));
  const [newer, setNewer] = useState<DeviceEdit>();
  const { device } = base;
  const wrong = wrongLine(edit.attributes);
  const run = async (): Promise<void> => {
    if (wrong !== undefined) throw new Error(`This line is not name=value: ${wrong}`);
    try {
      await save(base, edit);
    } catch (error) {
      if (problemFrom(error).status !== conflictStatus) throw error;
      const current = await readTaggedDevice(device.id);
      setBase(current);
      const theirs = editOf(current.device);
      if (changedFields(theirs, editOf(device)).length > 0) {
        setNewer(theirs);
        throw new ApiProblem(conflictStatus, {
          title: 'Not saved: the device was changed meanwhile',
          advice: 'Take over the saved values above, or save yours over them.',
        });
      }
      // Something else is new, for example its connection.
      await save(current, edit);
    }
    notify(`${device.id} is changed.`);
    changed();
  };
  return (
    <ActionDialog
      title={`Edit ${device.id}`}
      action={newer === undefined ? 'Save' : 'Save mine'}
      run={run}
      close={close}
    >
      {newer === undefined ? null : <ConflictTable mine={edit} theirs={newer} take={setEdit} />}
      <EditFields edit={edit} change={setEdit} hasRoleField={device.kind === 'device'} />
      {wrong === undefined ? null : <small class="bad">This line is not name=value: {wrong}</small>}
    </ActionDialog>
  );
}

function EditFields({
  edit,
  change,
  hasRoleField,
}: {
  readonly edit: DeviceEdit;
  readonly change: (edit: DeviceEdit) => void;
  readonly hasRoleField: boolean;
}): JSX.Element {
  return (
    <>
      <label class="field">
        <span>Group (empty: none)</span>
        <input
          value={edit.group}
          maxLength={128}
          onInput={({ currentTarget }) => change({ ...edit, group: currentTarget.value })}
        />
      </label>
      {hasRoleField ? (
        <RoleField value={edit.role} change={(role) => change({ ...edit, role })} unset="device" />
      ) : null}
      <label class="field">
        <span>Attributes, one name=value in each line</span>
        <textarea
          rows={6}
          value={edit.attributes}
          spellcheck={false}
          aria-invalid={wrongLine(edit.attributes) !== undefined}
          onInput={({ currentTarget }) => change({ ...edit, attributes: currentTarget.value })}
        />
      </label>
    </>
  );
}

/** What another person saved meanwhile, beside what is entered here. */
function ConflictTable({
  mine,
  theirs,
  take,
}: {
  readonly mine: DeviceEdit;
  readonly theirs: DeviceEdit;
  readonly take: (edit: DeviceEdit) => void;
}): JSX.Element {
  return (
    <div class="conflict" role="status">
      <h3>Changed meanwhile</h3>
      <table>
        <thead>
          <tr>
            <th>Field</th>
            <th>Saved by somebody else</th>
            <th>Yours</th>
          </tr>
        </thead>
        <tbody>
          {changedFields(mine, theirs).map((field) => (
            <tr key={field}>
              <th scope="row">{field}</th>
              <td class="wrap lines">{theirs[field] === '' ? '(none)' : theirs[field]}</td>
              <td class="wrap lines">{mine[field] === '' ? '(none)' : mine[field]}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <button type="button" onClick={() => take(theirs)}>
        Take over the saved values
      </button>
    </div>
  );
}

/** @throws ApiProblem with status 412 when the device is not the one that was read */
async function save({ device, etag }: TaggedDevice, edit: DeviceEdit): Promise<void> {
  const { group, role, attributes } = edit;
  await api.editDevice({
    id: device.id,
    headers: { 'if-match': etag },
    body: {
      group: group === '' ? null : group,
      attributes: attributeChanges(device.attributes, attributes),
      ...(device.kind === 'device' ? { role: role === '' ? null : role } : {}),
    },
  });
}
