/** The brokers: how far each is behind, its numbers, its sessions with the longest queues. @module */
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { ApiBroker } from '../../api/api-types.ts';
import { listenLive } from '../../api/live-feed.ts';
import { useResource } from '../../api/use-resource.ts';
import { ProblemText } from '../../parts/notices.tsx';
import { devicePath, PageLink } from '../../parts/page-link.tsx';
import {
  Badge,
  CopyText,
  Empty,
  Facts,
  formatBytes,
  formatCount,
  OnlineMark,
  Panel,
} from '../../parts/small-parts.tsx';
import { TimeText } from '../../parts/time-text.tsx';

const everyMs = 5000;

export function BrokersScreen(): JSX.Element {
  const { data, problem, reload } = useResource((client) => client.listBrokers(), everyMs);
  const again = useRef(reload);
  useEffect(() => listenLive('brokers', () => again.current()), []);
  const brokers = data?.brokers ?? [];
  return (
    <>
      <h1>Brokers</h1>
      <ProblemText problem={problem} />
      {data !== undefined && brokers.length === 0 ? (
        <Empty title="No broker follows the feed yet. Start one:">
          <CopyText text="flotilla broker serve" />
        </Empty>
      ) : null}
      {brokers.map((broker) => (
        <BrokerPanel key={broker.broker} broker={broker} />
      ))}
    </>
  );
}

function BrokerPanel({ broker }: { readonly broker: ApiBroker }): JSX.Element {
  const { sample, connected } = broker;
  return (
    <Panel
      title={broker.broker}
      aside={
        <Badge tone={connected ? 'good' : 'bad'}>
          {connected ? 'follows the feed' : 'not connected'}
        </Badge>
      }
    >
      <div class="columns">
        <Facts
          rows={[
            ['Follows since', <TimeText key="since" at={broker.since} />],
            ['Changes behind', formatCount(broker.changesBehind)],
            ['Bytes on the way', formatBytes(broker.lagBytes)],
            ['Last report', <TimeText key="report" at={broker.lastReportAt} />],
            ['Version', sample?.version ?? 'unknown'],
            ['Started', <TimeText key="started" at={sample?.startedAt} />],
            ['Policy', broker.policy === null ? 'unknown' : broker.policy.source],
          ]}
        />
        {sample === null ? (
          <Empty title="No numbers yet. A broker reports them every five seconds." />
        ) : (
          <Facts
            rows={[
              ['Connections', formatCount(sample.connections)],
              ['Sessions', formatCount(sample.sessions)],
              ['Subscriptions', formatCount(sample.subscriptions)],
              ['Retained', formatCount(sample.retained)],
              [
                'Queued',
                `${formatCount(sample.queuedMessages)} messages, ${formatBytes(sample.queuedBytes)}`,
              ],
              [
                'Messages',
                `${formatCount(sample.messagesIn)} in, ${formatCount(sample.messagesOut)} out`,
              ],
              ['Denied', formatCount(sample.denied)],
              ['Event loop delay', `${sample.eventLoopLagMs.toFixed(1)} ms`],
            ]}
          />
        )}
      </div>
      {connected ? <LongestQueues broker={broker.broker} /> : null}
    </Panel>
  );
}

function LongestQueues({ broker }: { readonly broker: string }): JSX.Element {
  const [isOpen, setOpen] = useState(false);
  const { data, problem } = useResource(
    isOpen
      ? (client) => client.listSessions({ broker, query: { sort: 'queue', limit: 20 } })
      : undefined,
    everyMs,
  );
  return (
    <details onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>Sessions with the longest queues</summary>
      <ProblemText problem={problem} />
      <div class="scroll" tabIndex={0} role="region" aria-label="Sessions">
        <table>
          <thead>
            <tr>
              <th>Client id</th>
              <th>Device</th>
              <th>Connection</th>
              <th>Queue</th>
              <th>In flight</th>
              <th>Subscriptions</th>
            </tr>
          </thead>
          <tbody>
            {(data?.sessions ?? []).map((session) => (
              <tr key={session.clientId}>
                <td class="wrap">{session.clientId}</td>
                <td>
                  <PageLink to={devicePath(session.device)}>{session.device}</PageLink>
                </td>
                <td>
                  <OnlineMark isOnline={session.connected} />
                </td>
                <td>
                  {formatCount(session.queuedMessages)}, {formatBytes(session.queuedBytes)}
                </td>
                <td>{formatCount(session.inFlight)}</td>
                <td>{formatCount(session.subscriptions)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
