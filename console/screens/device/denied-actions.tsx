import type { JSX } from 'preact';
import type { ApiDevice } from '../../api/api-types.ts';
import { CopyText, Empty, formatCount, Panel } from '../../parts/small-parts.tsx';
import { TimeText } from '../../parts/time-text.tsx';
import { explainCommand, isShared, ruleFor, type DeniedAction } from './missing-rule.ts';

/** What the policy denied, why, and the rule that would allow it. */
export function DeniedActions({ device }: { readonly device: ApiDevice }): JSX.Element {
  const { denied } = device;
  return (
    <Panel
      title="Denied by the policy"
      {...(denied === undefined
        ? {}
        : {
            aside: <span class="faint">{formatCount(denied.count)} since the service started</span>,
          })}
    >
      {denied === undefined || denied.last.length === 0 ? (
        <Empty title="Nothing was denied." />
      ) : (
        <ul class="denied">
          {[...denied.last].reverse().map((one) => (
            <li key={`${one.at} ${one.action} ${one.topic}`}>
              <p>
                <strong>{one.action}</strong> <code class="wrap">{one.topic}</code>{' '}
                <span class="faint">
                  <TimeText at={one.at} />, {one.code}
                </span>
              </p>
              <Remedy device={device} denied={one} />
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

function Remedy({
  device,
  denied,
}: {
  readonly device: ApiDevice;
  readonly denied: DeniedAction;
}): JSX.Element {
  const rule = ruleFor(device.id, denied);
  return (
    <details>
      <summary>Why, and how to allow it</summary>
      <p>
        No rule of the role {device.role} allows it, or a rule denies it. This command names the
        rule:
      </p>
      <CopyText text={explainCommand(device.id, denied)} />
      {rule === undefined ? (
        <p>No rule can allow this topic: it is reserved, or cannot be written as a template.</p>
      ) : (
        <>
          <p>
            This rule would allow it. Add it in policy.yaml below{' '}
            <code>roles → {device.role} → rules</code>; the broker loads the file within a second.
          </p>
          <CopyText text={rule} />
          {isShared(device.id, denied.topic) ? (
            <p class="warn-text">
              The topic does not contain the id of the device: the rule applies to every device with
              the role {device.role}.
            </p>
          ) : null}
        </>
      )}
    </details>
  );
}
