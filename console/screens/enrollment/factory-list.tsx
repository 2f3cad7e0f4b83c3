import type { JSX } from 'preact';
import { useResource } from '../../api/use-resource.ts';
import { ProblemText } from '../../parts/notices.tsx';
import { CopyText, Empty, Facts, Panel, shortFingerprint } from '../../parts/small-parts.tsx';
import { TimeText } from '../../parts/time-text.tsx';

/** The manufacturers' CAs whose devices may enroll. */
export function FactoryList(): JSX.Element {
  const { data, problem } = useResource((client) => client.listFactories());
  return (
    <Panel title="Factories">
      <ProblemText problem={problem} />
      {data?.factories.length === 0 ? (
        <Empty title="No factory CA is trusted.">
          <p>With one, devices enroll with the certificate that their manufacturer installed:</p>
          <CopyText text="flotilla factory add --help" />
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
              ['Approval', factory.approval ? 'each device waits for an operator' : 'not needed'],
            ]}
          />
        </div>
      ))}
    </Panel>
  );
}
