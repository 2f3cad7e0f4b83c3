/** Messages of a device as they happen, and commands to it. @module */
import type { JSX } from 'preact';
import type { ApiDevice } from '../../api/api-types.ts';
import { hasRole } from '../../api/session-state.ts';
import { LiveMessages } from '../../parts/message-tail.tsx';
import { CommandPanel } from './command-form.tsx';

export function DeviceMessages({ device }: { readonly device: ApiDevice }): JSX.Element {
  return (
    <>
      {hasRole('operator') ? <CommandPanel device={device} /> : null}
      <LiveMessages filter={`devices/${device.id}/#`} />
    </>
  );
}
