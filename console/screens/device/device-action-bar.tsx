/** What an operator can do with one device. @module */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { api } from '../../api/page-api.ts';
import type { ApiDevice, ApiToken } from '../../api/api-types.ts';
import { hasRole } from '../../api/session-state.ts';
import { ActionDialog } from '../../parts/action-dialog.tsx';
import { goTo } from '../../parts/browser-location.ts';
import { notify, notifyFailure } from '../../parts/notices.tsx';
import { useOwnIdentity, type OwnIdentityOverride } from '../../parts/own-identity.tsx';
import { RevocationReasonField, revocationReasonOf } from '../../parts/revocation-reason.tsx';
import { TokenDialog } from '../../parts/token-dialog.tsx';
import { EditDialog } from './edit-dialog.tsx';
import { readTaggedDevice, type TaggedDevice } from './tagged-device.ts';

type DeviceAction = 'suspend' | 'resume' | 'disconnect' | 'revoke' | 'delete';

interface ActionText {
  readonly label: string;
  readonly effect: string;
  readonly isDangerous: boolean;
}

const texts: Readonly<Record<DeviceAction, ActionText>> = {
  suspend: {
    label: 'Suspend',
    effect: 'The device is disconnected and cannot connect until it is resumed.',
    isDangerous: false,
  },
  resume: { label: 'Resume', effect: 'The device can connect again.', isDangerous: false },
  disconnect: {
    label: 'Disconnect',
    effect: 'Its connections end. The device may connect again at once.',
    isDangerous: false,
  },
  revoke: {
    label: 'Revoke',
    effect: 'Its certificates never work again. The device needs a new token to come back.',
    isDangerous: true,
  },
  delete: {
    label: 'Delete',
    effect:
      'Its certificates are revoked, and the registry forgets the device. The audit log keeps its lines.',
    isDangerous: true,
  },
};

export interface DeviceActionBarProps {
  readonly device: ApiDevice;
  readonly changed: () => void;
}

export function DeviceActionBar({ device, changed }: DeviceActionBarProps): JSX.Element | null {
  const [action, setAction] = useState<DeviceAction>();
  const [editing, setEditing] = useState<TaggedDevice>();
  const [token, setToken] = useState<ApiToken>();
  if (!hasRole('operator')) return null;
  const isLocked = device.status === 'suspended' || device.status === 'quarantined';
  const actions: readonly DeviceAction[] = [
    ...(isLocked
      ? (['resume'] as const)
      : device.status === 'active'
        ? (['suspend'] as const)
        : []),
    ...(device.connected ? (['disconnect'] as const) : []),
    ...(device.status === 'revoked' ? [] : (['revoke'] as const)),
    'delete',
  ];
  const createToken = (): void => {
    api.createToken({ body: { device: device.id } }).then(setToken, notifyFailure);
  };
  const edit = (): void => {
    readTaggedDevice(device.id).then(setEditing, notifyFailure);
  };
  return (
    <div class="actions" role="group" aria-label="Actions">
      <button type="button" onClick={edit}>
        Edit group, role, attributes
      </button>
      {device.kind === 'device' ? (
        <button type="button" onClick={createToken}>
          Token to enroll again
        </button>
      ) : null}
      {actions.map((one) => (
        <button
          key={one}
          type="button"
          class={texts[one].isDangerous ? 'danger' : ''}
          onClick={() => setAction(one)}
        >
          {texts[one].label}
        </button>
      ))}
      {editing === undefined ? null : (
        <EditDialog read={editing} close={() => setEditing(undefined)} changed={changed} />
      )}
      {action === undefined ? null : (
        <OneActionDialog
          action={action}
          id={device.id}
          close={() => setAction(undefined)}
          changed={changed}
        />
      )}
      {token === undefined ? null : <TokenDialog token={token} close={() => setToken(undefined)} />}
    </div>
  );
}

function OneActionDialog({
  action,
  id,
  close,
  changed,
}: {
  readonly action: DeviceAction;
  readonly id: string;
  readonly close: () => void;
  readonly changed: () => void;
}): JSX.Element {
  const [reason, setReason] = useState('unspecified');
  const { label, effect, isDangerous } = texts[action];
  const own = useOwnIdentity(id);
  const run = async (): Promise<void> => {
    if (action === 'delete') {
      await api.deleteDevice({ id, query: own.query });
      notify(`${id} is deleted.`);
      goTo('devices');
      return;
    }
    const closed = await closedBy(action, { id, query: own.query }, reason);
    notify(
      `${label}: done${closed === undefined ? '' : `, ${closed} ${closed === 1 ? 'connection' : 'connections'} closed`}.`,
    );
    changed();
  };
  return (
    <ActionDialog
      title={`${label} ${id}`}
      action={label}
      isDangerous={isDangerous}
      {...(isDangerous ? { confirmation: id } : {})}
      run={run}
      close={close}
    >
      <p>{effect}</p>
      {action === 'resume' || action === 'disconnect' ? null : own.field}
      {action === 'revoke' ? <RevocationReasonField value={reason} change={setReason} /> : null}
    </ActionDialog>
  );
}

/** Runs the action. @returns how many connections it has closed, if the service says so */
async function closedBy(
  action: Exclude<DeviceAction, 'delete'>,
  target: { readonly id: string; readonly query: OwnIdentityOverride['query'] },
  reason: string,
): Promise<number | undefined> {
  const { id } = target;
  switch (action) {
    case 'suspend':
      return (await api.suspendDevice({ ...target, body: {} })).connectionsClosed;
    case 'resume':
      await api.resumeDevice({ id, body: {} });
      return undefined;
    case 'disconnect':
      return (await api.disconnectDevice({ id, body: {} })).connectionsClosed;
    case 'revoke':
      return (await api.revokeDevice({ ...target, body: { reason: revocationReasonOf(reason) } }))
        .connectionsClosed;
  }
}
