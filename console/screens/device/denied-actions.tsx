import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { ApiDevice, ApiPolicyExplained } from '../../api/api-types.ts';
import { problemFrom, withQuery, type ApiProblem } from '../../api/call-api.ts';
import { api } from '../../api/page-api.ts';
import { hasRole } from '../../api/session-state.ts';
import { ProblemText } from '../../parts/notices.tsx';
import { PageLink } from '../../parts/page-link.tsx';
import { Badge, CopyText, Empty, formatCount, Panel } from '../../parts/small-parts.tsx';
import { TimeText } from '../../parts/time-text.tsx';
import { isShared, ruleFor, type DeniedAction } from './missing-rule.ts';

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
          {groupsOf(denied.last).map(({ one, count }) => (
            <li key={`${one.action} ${one.topic}`}>
              <p>
                <strong>{one.action}</strong> <code class="wrap">{one.topic}</code>{' '}
                <span class="faint">
                  {count > 1 ? `${count} times, last ` : ''}
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

type Denied = NonNullable<ApiDevice['denied']>['last'][number];

/** Each action and topic once, the latest first. */
function groupsOf(last: readonly Denied[]): { readonly one: Denied; readonly count: number }[] {
  const groups = new Map<string, { one: Denied; count: number }>();
  for (const one of last.toReversed()) {
    const key = `${one.action} ${one.topic}`;
    const known = groups.get(key);
    if (known === undefined) groups.set(key, { one, count: 1 });
    else known.count++;
  }
  return [...groups.values()];
}

function Remedy({
  device,
  denied,
}: {
  readonly device: ApiDevice;
  readonly denied: DeniedAction;
}): JSX.Element {
  const [isOpen, setOpen] = useState(false);
  const rule = ruleFor(device.id, denied);
  return (
    <details onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>Why, and how to allow it</summary>
      {isOpen ? <Explanation device={device.id} denied={denied} /> : null}
      {rule === undefined ? (
        <p>No rule can allow this topic: it is reserved, or cannot be written as a template.</p>
      ) : (
        <>
          <p>
            This rule for the role <strong>{device.role}</strong> would allow it:
          </p>
          <CopyText text={rule} />
          {isShared(device.id, denied.topic) ? (
            <p class="warn-text">
              The topic does not contain the id of the device: the rule applies to every device with
              the role {device.role}.
            </p>
          ) : null}
          {hasRole('admin') ? (
            <p>
              <PageLink
                class="button primary"
                to={withQuery('policy', { role: device.role, rule })}
              >
                Add it to the policy
              </PageLink>
            </p>
          ) : (
            <p class="faint">An administrator can add it to the policy.</p>
          )}
        </>
      )}
    </details>
  );
}

const explained = ['connect', 'publish', 'receive', 'subscribe'] as const;

/** What the policy says now. */
function Explanation({
  device,
  denied: { action, topic },
}: {
  readonly device: string;
  readonly denied: DeniedAction;
}): JSX.Element {
  const [answer, setAnswer] = useState<ApiPolicyExplained>();
  const [problem, setProblem] = useState<ApiProblem>();
  useEffect(() => {
    const asked = explained.find((one) => one === action);
    if (asked === undefined) return;
    api
      .explainPolicy({ body: { device, action: asked, topic } })
      .then(setAnswer, (error: unknown) => setProblem(problemFrom(error)));
  }, [device, action, topic]);
  if (answer === undefined) return <ProblemText problem={problem} />;
  return (
    <p role="status">
      <Badge tone={answer.allowed ? 'good' : 'bad'}>
        {answer.allowed ? 'allowed now' : 'denied'}
      </Badge>{' '}
      {answer.reason}
    </p>
  );
}
