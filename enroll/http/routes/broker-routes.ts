/**
 * Calls of operators that a broker answers over the feed: connections, sessions, retained messages, ending a
 * connection, publishing.
 *
 * @module
 */
import { z } from 'zod';
import { isDeviceId, type DeviceId } from '../../../core/device-id.ts';
import { FlotillaError, isFlotillaError } from '../../../core/errors/flotilla-error.ts';
import {
  connectionsAnswerSchema,
  publishPayloadMaxBytes,
  queryPageItemsMax,
  retainedAnswerSchema,
  sessionDetailSchema,
  sessionsAnswerSchema,
} from '../../../core/protocol/broker-query.ts';
import {
  deviceConnectionsSchema,
  disconnectedSchema,
  publishedSchema,
  publishRequestSchema,
} from '../../../core/protocol/operator-api.ts';
import type { AuditTrail } from '../../audit/audit-trail.ts';
import type { BoundedRefusals } from '../../audit/bounded-refusals.ts';
import type { PresenceTable } from '../../devices/presence-table.ts';
import type { BrokerQueries } from '../../feed/broker-queries.ts';
import type { Feed } from '../../feed/directory-feed.ts';
import type { OperatorCaller } from '../../operators/caller.ts';
import type { DeviceTable } from '../../queries/device-table.ts';
import { assertMayChange } from '../assert-may-change.ts';
import { subjectOf } from '../operator-subject.ts';
import { route, type HttpRoute } from '../route.ts';

export interface BrokerRouteDeps {
  readonly audit: AuditTrail;
  readonly feed: Feed;
  readonly presence: PresenceTable;
  readonly queries: BrokerQueries;
  /** Audit lines about refused requests. */
  readonly refused: Pick<BoundedRefusals, 'append'>;
  readonly table: DeviceTable;
}

/** How long an operator waits for a broker, in ms. */
export const brokerTimeoutMs = 5000;
const pageItemsDefault = 100;

const id = z.custom<DeviceId>((value) => typeof value === 'string' && isDeviceId(value), {
  error: 'not a device id',
});
export const brokerParams = z.strictObject({ broker: id });
const deviceParams = z.strictObject({ id });
const limit = z.coerce
  .number()
  .int()
  .min(1)
  .default(pageItemsDefault)
  .transform((value) => Math.min(value, queryPageItemsMax));
const page = {
  device: z.string().min(1).max(128).optional(),
  search: z.string().min(1).max(128).optional(),
  limit,
  after: z.string().min(1).max(1024).optional(),
};

export function brokerRoutes(deps: BrokerRouteDeps): HttpRoute[] {
  return [...listRoutes(deps), ...deviceConnectionRoutes(deps), ...messageRoutes(deps)];
}

function listRoutes({ queries }: BrokerRouteDeps): HttpRoute[] {
  const options = { timeoutMs: brokerTimeoutMs };
  return [
    route({
      method: 'GET',
      path: '/v1/brokers/:broker/connections',
      summary: 'The connections of a broker, by client id',
      access: 'viewer',
      params: brokerParams,
      query: z.strictObject(page),
      response: connectionsAnswerSchema,
      handle: ({ params, query }) =>
        queries.ask(params.broker, { kind: 'connections', ...query }, options),
    }),
    route({
      method: 'GET',
      path: '/v1/brokers/:broker/sessions',
      summary: 'The sessions of a broker, by client id, or those with the longest queue first',
      access: 'viewer',
      params: brokerParams,
      query: z.strictObject({ ...page, sort: z.enum(['clientId', 'queue']).default('clientId') }),
      response: sessionsAnswerSchema,
      handle: ({ params, query }) =>
        queries.ask(params.broker, { kind: 'sessions', ...query }, options),
    }),
    route({
      method: 'GET',
      path: '/v1/brokers/:broker/session',
      summary: 'One session with its subscriptions',
      access: 'viewer',
      params: brokerParams,
      query: z.strictObject({ clientId: z.string().min(1).max(1024) }),
      response: sessionDetailSchema,
      handle: ({ params, query }) =>
        queries.ask(params.broker, { kind: 'session', clientId: query.clientId }, options),
    }),
  ];
}

function deviceConnectionRoutes({ audit, presence, queries, table }: BrokerRouteDeps): HttpRoute[] {
  const options = { timeoutMs: brokerTimeoutMs };
  return [
    route({
      method: 'GET',
      path: '/v1/devices/:id/connections',
      summary: 'The live connections of a device, at all brokers',
      access: 'viewer',
      params: deviceParams,
      response: deviceConnectionsSchema,
      async handle({ params }) {
        const answers = await Promise.all(
          presence.brokersOf(params.id).map(async (broker) => {
            const query = { kind: 'connections', device: params.id, limit: 100 } as const;
            const { connections } = await queries.ask(broker, query, options);
            return connections.map((connection) => ({ broker, ...connection }));
          }),
        );
        return { connections: answers.flat() };
      },
    }),
    route({
      method: 'POST',
      path: '/v1/devices/:id/disconnect',
      summary: 'Ends the connections of a device; it may connect again',
      access: 'operator',
      params: deviceParams,
      body: z.strictObject({ clientId: z.string().min(1).max(1024).optional() }).optional(),
      response: disconnectedSchema,
      async handle({ params, body, actor, operator }) {
        assertMayChange(operator, table.get(params.id));
        const clientId = body?.clientId;
        const closed = await Promise.all(
          presence.brokersOf(params.id).map((broker) =>
            queries.ask(
              broker,
              {
                kind: 'disconnect',
                device: params.id,
                ...(clientId === undefined ? {} : { clientId }),
              },
              options,
            ),
          ),
        );
        const connectionsClosed = closed.reduce((sum, one) => sum + one.connectionsClosed, 0);
        await audit.append({
          action: 'connection-ended',
          actor,
          device: params.id,
          detail: { connections: connectionsClosed },
        });
        return { connectionsClosed };
      },
    }),
  ];
}

function messageRoutes({ audit, feed, queries, refused }: BrokerRouteDeps): HttpRoute[] {
  const options = { timeoutMs: brokerTimeoutMs };
  return [
    route({
      method: 'GET',
      path: '/v1/messages/retained',
      summary: 'Retained messages by topic, as far as the policy lets the operator read them',
      access: 'viewer',
      query: z.strictObject({
        prefix: z.string().max(1024).default(''),
        limit,
        after: z.string().min(1).max(1024).optional(),
        broker: id.optional(),
      }),
      response: retainedAnswerSchema,
      handle({ query: { broker, ...rest }, operator, remoteAddress }) {
        const subject = subjectOf(assertSignedIn(operator), remoteAddress);
        return queries.ask(
          oneBroker(feed, broker),
          { kind: 'retained', subject, ...rest },
          options,
        );
      },
    }),
    route({
      method: 'POST',
      path: '/v1/messages',
      summary: 'Publishes a message, if the policy allows it to the operator',
      access: 'operator',
      body: publishRequestSchema,
      bodyMaxBytes: 2 * publishPayloadMaxBytes + 4096,
      response: publishedSchema,
      async handle({ body, operator, actor, remoteAddress }) {
        const { topic, qos, retain, encoding } = body;
        const payload = Buffer.from(body.payload, encoding);
        if (payload.length > publishPayloadMaxBytes) {
          throw new FlotillaError('request-too-large', {
            detail: `the payload has at most ${publishPayloadMaxBytes} bytes`,
          });
        }
        const broker = oneBroker(feed, body.broker);
        const subject = subjectOf(assertSignedIn(operator), remoteAddress);
        const bytes = payload.length;
        const detail = { topic: topic.slice(0, 256), qos, retain, bytes, broker };
        try {
          const query = { kind: 'publish', subject, topic, qos, retain } as const;
          await queries.ask(broker, { ...query, payload: payload.toString('base64') }, options);
        } catch (error) {
          if (isFlotillaError(error, 'message-denied')) {
            await refused.append({
              action: 'access-refused',
              actor,
              remoteAddress,
              detail: { ...detail, code: 'publish-denied', stage: 'publish', count: 1 },
            });
          }
          throw error;
        }
        await audit.append({ action: 'message-published', actor, remoteAddress, detail });
        return { published: true as const, broker };
      },
    }),
  ];
}

/**
 * The broker that is asked: the one named, or the first that is connected. In a cluster each of them
 * reaches all clients.
 *
 * @throws FlotillaError `broker-not-connected`
 */
export function oneBroker(feed: Feed, named: DeviceId | undefined): DeviceId {
  const broker = named ?? [...feed.brokers].sort()[0];
  if (broker === undefined) throw new FlotillaError('broker-not-connected');
  return broker;
}

/** @throws FlotillaError `sign-in-required` */
export function assertSignedIn(operator: OperatorCaller | undefined): OperatorCaller {
  if (operator === undefined) throw new FlotillaError('sign-in-required');
  return operator;
}
