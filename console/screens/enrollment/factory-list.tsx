/** The manufacturers' CAs whose devices may enroll. @module */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { api } from '../../api/page-api.ts';
import { hasRole } from '../../api/session-state.ts';
import { useResource } from '../../api/use-resource.ts';
import { ActionDialog } from '../../parts/action-dialog.tsx';
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
      aside={
        hasRole('admin') ? (
          <button type="button" onClick={() => setAdding(true)}>
            Add a factory
          </button>
        ) : (
          ''
        )
      }
    >
      <ProblemText problem={problem} />
      {data?.factories.length === 0 ? (
        <Empty title="No factory CA is trusted.">
          <p>With one, devices enroll with the certificate that their manufacturer installed.</p>
        </Empty>
      ) : null}
      {(data?.factories ?? []).map((factory) => (
        <div key={factory.name}>
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
              [
                'Devices',
                factory.allowed === null ? 'all of this CA' : `${factory.allowed} listed`,
              ],
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
              onClick={() => setRemoving(factory.name)}
            >
              Remove
            </button>
          ) : null}
        </div>
      ))}
      {isAdding ? <FactoryDialog close={() => setAdding(false)} changed={reload} /> : null}
      {removing === undefined ? null : (
        <ActionDialog
          title={`Remove ${removing}`}
          action="Remove"
          isDangerous
          close={() => setRemoving(undefined)}
          run={async () => {
            await api.deleteFactory({ name: removing });
            notify(`The factory ${removing} is removed.`);
            reload();
          }}
        >
          <p>
            Devices of this manufacturer can no longer enroll. Those that are enrolled stay in the
            fleet.
          </p>
        </ActionDialog>
      )}
    </Panel>
  );
}
