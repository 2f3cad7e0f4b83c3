/**
 * Calls of operators about the fleet as a whole: numbers, groups, brokers.
 *
 * @module
 */
import type { Clock } from '../../../core/clock.ts';
import { brokersSchema, groupsSchema, statsSchema } from '../../../core/protocol/operator-api.ts';
import type { Feed } from '../../feed/directory-feed.ts';
import { listBrokers, type BrokerReports } from '../../queries/broker-list.ts';
import type { FleetStatistics } from '../../queries/fleet-statistics.ts';
import { iso } from '../device-view.ts';
import { route, type HttpRoute } from '../route.ts';

export interface FleetRouteDeps {
  readonly clock: Clock;
  readonly feed: Feed;
  readonly statistics: FleetStatistics;
  readonly brokerReports: BrokerReports;
}

export function fleetRoutes(deps: FleetRouteDeps): HttpRoute[] {
  const { clock, feed, statistics, brokerReports } = deps;
  return [
    route({
      method: 'GET',
      path: '/v1/stats',
      summary: 'The fleet in numbers',
      access: 'viewer',
      response: statsSchema,
      async handle() {
        const { devices, services, certificates } = await statistics.numbers();
        return {
          at: iso(clock.now()),
          devices,
          services,
          certificates,
          lastHour: statistics.lastHour(),
          requestsPending: await statistics.requestsPending(),
          brokers: listBrokers(feed, brokerReports),
        };
      },
    }),
    route({
      method: 'GET',
      path: '/v1/groups',
      summary: 'The groups and how many devices each has, the largest first',
      access: 'viewer',
      response: groupsSchema,
      handle: async () => ({ groups: [...(await statistics.numbers()).groups] }),
    }),
    route({
      method: 'GET',
      path: '/v1/brokers',
      summary: 'The brokers, how far each is behind, and its latest numbers',
      access: 'viewer',
      response: brokersSchema,
      handle: () => Promise.resolve({ brokers: listBrokers(feed, brokerReports) }),
    }),
  ];
}
