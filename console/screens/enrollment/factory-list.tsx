/** The manufacturers' CAs whose devices may enroll. @module */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { ApiFactory } from '../../api/api-types.ts';
import { api } from '../../api/page-api.ts';
import { hasRole } from '../../api/session-state.ts';
import { useResource } from '../../api/use-resource.ts';
import { ActionDialog } from '../../parts/action-dialog.tsx';
import { AdminButton } from '../../parts/admin-button.tsx';
import { notify, ProblemText } from '../../parts/notices.tsx';
import { Empty, Facts, Panel, shortFingerprint } from '../../parts/small-parts.tsx';
import { TimeText } from '../../parts/time-text.tsx';
import { FactoryDialog } from './factory-dialog.tsx';

/** The manufacturers' CAs whose devices may enroll. */
export function FactoryList(): JSX.Element {
  const { data, problem, reload } = useResource((client) => client.listFactories());
  const [isAdding, setAdding] = useState(false);
  const [removing, setRemoving] = useState<string>();
  return (
    <Panel
      title="Factories"
      aside={<AdminButton press={() => setAdding(true)}>Add a factory</AdminButton>}
    >
      <ProblemText problem={problem} />
      {data?.factories.length === 0 ? (
        <Empty title="No factory CA is trusted.">
          <p>With one, devices enroll with the certificate that their manufacturer installed.</p>
        </Empty>
      ) : null}
      {(data?.factories ?? []).map((factory) => (
        <FactoryEntry key={factory.name} factory={factory} remove={setRemoving} />
      ))}
      {isAdding ? <FactoryDialog close={() => setAdding(false)} changed={reload} /> : null}
      {removing === undefined ? null : (
        <FactoryRemoval name={removing} close={() => setRemoving(undefined)} changed={reload} />
      )}
    </Panel>
  );
}

interface FactoryEntryProps {
  readonly factory: ApiFactory;
  readonly remove: (name: string) => void;
}

function FactoryEntry({ factory, remove }: FactoryEntryProps): JSX.Element {
  return (
    <div>
      <h3>{factory.name}</h3>
      <Facts
        rows={[
          [
            'Fingerprint',
            <code key="fingerprint" title={factory.fingerprint}>
              {shortFingerprint(factory.fingerprint)}
            </code>,
          ],
          ['Ends', <TimeText key="ends" at={factory.notAfter} />],
          ['Devices', factory.allowed === null ? 'all of this CA' : `${factory.allowed} listed`],
          ['Group', factory.group ?? 'none'],
          ['Role', factory.role ?? 'device'],
          ['Device id', <code key="id">{factory.deviceId}</code>],
          ['Approval', factory.approval ? 'each device waits for an operator' : 'not needed'],
        ]}
      />
      {hasRole('admin') ? (
        <button
          type="button"
          class="small danger"
          aria-label={`Remove the factory ${factory.name}`}
          onClick={() => remove(factory.name)}
        >
          Remove
        </button>
      ) : null}
    </div>
  );
}

interface FactoryRemovalProps {
  readonly name: string;
  readonly close: () => void;
  readonly changed: () => void;
}

function FactoryRemoval({ name, close, changed }: FactoryRemovalProps): JSX.Element {
  return (
    <ActionDialog
      title={`Remove ${name}`}
      action="Remove"
      isDangerous
      close={close}
      run={async () => {
        await api.deleteFactory({ name });
        notify(`The factory ${name} is removed.`);
        changed();
      }}
    >
      <p>
        Devices of this manufacturer can no longer enroll. Those that are enrolled stay in the
        fleet.
      </p>
    </ActionDialog>
  );
}
