import type { JSX } from 'preact';
import { useResource } from '../../api/use-resource.ts';
import { ProblemText } from '../../parts/notices.tsx';
import { Empty, Facts, formatBytes, formatCount, Panel } from '../../parts/small-parts.tsx';
import { TimeText } from '../../parts/time-text.tsx';

const everyMs = 5000;
const protocolNames: Readonly<Record<number, string>> = {
  3: 'MQTT 3.1',
  4: 'MQTT 3.1.1',
  5: 'MQTT 5',
};

/** The connections of a device at this moment, as its broker reports them. */
export function LiveConnections({
  id,
  isConnected,
}: {
  readonly id: string;
  readonly isConnected: boolean;
}): JSX.Element {
  const { data, problem } = useResource(
    isConnected ? (client) => client.getDeviceConnections({ id }) : undefined,
    everyMs,
  );
  return (
    <Panel title="Connection">
      {isConnected ? <ProblemText problem={problem} /> : null}
      {!isConnected || data?.connections.length === 0 ? (
        <Empty title="Not connected now.">
          <p>The history shows the last connections, and why each one ended.</p>
        </Empty>
      ) : (
        (data?.connections ?? []).map((one) => (
          <Facts
            key={`${one.broker} ${one.clientId ?? one.connectedAt}`}
            rows={[
              ['Broker', one.broker],
              ['Client id', one.clientId ?? <span class="faint">no CONNECT yet</span>],
              ['Address', one.remoteAddress],
              ['Connected', <TimeText key="since" at={one.connectedAt} />],
              [
                'Protocol',
                `${protocolNames[one.protocolVersion ?? 0] ?? 'unknown'}, ${one.tlsVersion}${one.tlsResumed ? ' (resumed)' : ''}`,
              ],
              ['Standing', one.standing],
              ['Keep alive', one.keepAliveSeconds === null ? 'none' : `${one.keepAliveSeconds} s`],
              ['Subscriptions', formatCount(one.subscriptions)],
              [
                'Queue',
                `${formatCount(one.queuedMessages)} messages, ${formatBytes(one.queuedBytes)}, ${formatCount(one.inFlight)} in flight`,
              ],
            ]}
          />
        ))
      )}
    </Panel>
  );
}
