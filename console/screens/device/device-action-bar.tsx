/** What an operator can do with one device. @module */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { api } from '../../api/page-api.ts';
import type { ApiDevice, ApiToken } from '../../api/api-types.ts';
import { hasRole } from '../../api/session-state.ts';
import { ActionDialog } from '../../parts/action-dialog.tsx';
import { goTo } from '../../parts/browser-location.ts';
import { notify } from '../../parts/notices.tsx';
import { RevocationReasonField, revocationReasonOf } from '../../parts/revocation-reason.tsx';
import { TokenDialog } from '../../parts/token-dialog.tsx';
import { EditDialog } from './edit-dialog.tsx';

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
  const [action, setAction] = useState<DeviceAction | 'edit'>();
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
    api
      .createToken({ body: { device: device.id } })
      .then(setToken, (error: unknown) =>
        notify(error instanceof Error ? error.message : String(error), true),
      );
  };
  return (
    <div class="actions" role="group" aria-label="Actions">
      <button type="button" onClick={() => setAction('edit')}>
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
      {action === 'edit' ? (
        <EditDialog device={device} close={() => setAction(undefined)} changed={changed} />
      ) : action === undefined ? null : (
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
  const run = async (): Promise<void> => {
    if (action === 'delete') {
      await api.deleteDevice({ id });
      notify(`${id} is deleted.`);
      goTo('devices');
      return;
    }
    const closed = await closedBy(action, id, reason);
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
      {action === 'revoke' ? <RevocationReasonField value={reason} change={setReason} /> : null}
    </ActionDialog>
  );
}

/** Runs the action. @returns how many connections it has closed, if the service says so */
async function closedBy(
  action: Exclude<DeviceAction, 'delete'>,
  id: string,
  reason: string,
): Promise<number | undefined> {
  switch (action) {
    case 'suspend':
      return (await api.suspendDevice({ id, body: {} })).connectionsClosed;
    case 'resume':
      await api.resumeDevice({ id, body: {} });
      return undefined;
    case 'disconnect':
      return (await api.disconnectDevice({ id, body: {} })).connectionsClosed;
    case 'revoke':
      return (await api.revokeDevice({ id, body: { reason: revocationReasonOf(reason) } }))
        .connectionsClosed;
  }
}
