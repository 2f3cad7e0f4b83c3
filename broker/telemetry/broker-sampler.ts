/**
 * The numbers of this broker as it reports them to the enrollment service.
 *
 * @module
 */
import { packageVersion } from '../../core/package-version.ts';
import type { BrokerSampleReport } from '../../core/protocol/broker-sample.ts';
import type { SessionStatistics } from '../contracts/session-layer.ts';

export interface SampleSource {
  readonly run: string;
  readonly startedAtMs: number;
  readonly connections: number;
  readonly deniedByRule: ReadonlyMap<string, number>;
  readonly eventLoopLagMs: number;
  readonly statistics: SessionStatistics;
  readonly policy: BrokerSampleReport['policy'];
}

export function brokerSample(source: SampleSource): BrokerSampleReport {
  const { run, startedAtMs, connections, deniedByRule, eventLoopLagMs, statistics } = source;
  const { sessions, subscriptions, retained, queuedMessages, queuedBytes } = statistics;
  let denied = 0;
  for (const count of deniedByRule.values()) denied += count;
  return {
    run,
    version: packageVersion,
    startedAtMs,
    connections,
    sessions,
    subscriptions,
    retained,
    queuedMessages,
    queuedBytes,
    messagesIn: sum(statistics.messagesIn),
    messagesOut: sum(statistics.messagesOut),
    bytesIn: statistics.bytesIn,
    bytesOut: statistics.bytesOut,
    denied,
    eventLoopLagMs: Math.max(0, eventLoopLagMs),
    ...(source.policy === undefined ? {} : { policy: source.policy }),
  };
}

function sum([qos0, qos1, qos2]: readonly [number, number, number]): number {
  return qos0 + qos1 + qos2;
}
