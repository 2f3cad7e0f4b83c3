/**
 * The brokers of the fleet: those that follow the feed, and those that did since the service started.
 *
 * @module
 */
import type { DeviceId } from '../../core/device-id.ts';
import type { BrokerAnswer } from '../../core/protocol/operator-api.ts';
import type { Feed } from '../feed/directory-feed.ts';
import type { FeedLink } from '../feed/feed-subscriber.ts';

/** What brokers reported of themselves, by name. */
export interface BrokerReports {
  /** The brokers that reported since the service started. */
  readonly names: readonly DeviceId[];
  latest(broker: DeviceId): Pick<BrokerAnswer, 'sample' | 'policy'> | undefined;
}

export function listBrokers(feed: Feed, reports: BrokerReports): BrokerAnswer[] {
  const links = new Map<DeviceId, FeedLink>();
  // A broker that reconnects can have two links for a moment: the newest counts.
  for (const link of feed.links) links.set(link.broker, link);
  const names = [...new Set([...links.keys(), ...reports.names])].sort();
  return names.map((broker) => {
    const link = links.get(broker);
    const { sample, policy } = reports.latest(broker) ?? { sample: null, policy: null };
    return {
      broker,
      connected: link !== undefined,
      since: link === undefined ? null : iso(link.connectedAtMs),
      changesBehind: link?.changesBehind ?? 0,
      lagBytes: link?.lagBytes ?? 0,
      lastReportAt: link?.reportedAtMs === undefined ? null : iso(link.reportedAtMs),
      sample,
      policy,
    };
  });
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
