/** Messages of a device as they happen, and commands to it. @module */
import type { JSX } from 'preact';
import type { ApiDevice } from '../../api/api-types.ts';
import { hasRole } from '../../api/session-state.ts';
import { LiveMessages } from '../../parts/message-tail.tsx';
import { PublishForm } from '../../parts/publish-form.tsx';
import { Panel } from '../../parts/small-parts.tsx';

export function DeviceMessages({ device }: { readonly device: ApiDevice }): JSX.Element {
  const base = `devices/${device.id}`;
  return (
    <>
      {hasRole('operator') ? (
        <Panel title="Send a command">
          <PublishForm topic={`${base}/commands/`} />
        </Panel>
      ) : null}
      <LiveMessages filter={`${base}/#`} />
    </>
  );
}
