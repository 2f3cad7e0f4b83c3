/**
 * `GET /v1/events` (Server-Sent Events) and the history of the brokers' numbers.
 *
 * @module
 */
import { PassThrough } from 'node:stream';
import { z } from 'zod';
import type { Cancel, Clock } from '../../../core/clock.ts';
import { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import { samplePeriodMs } from '../../../core/protocol/broker-sample.ts';
import { eventTypes, metricsHistorySchema } from '../../../core/protocol/operator-api.ts';
import type { EventHub } from '../../events/event-hub.ts';
import { streamEvents } from '../../events/event-stream.ts';
import type { BrokerSamples } from '../../metrics/broker-samples.ts';
import { route, type HttpRoute } from '../route.ts';
import type { RawRequest, RawResponse, RawRoute } from '../raw-route.ts';

export interface EventRouteDeps {
  readonly clock: Clock;
  readonly hub: EventHub;
  readonly samples: BrokerSamples;
  readonly limits: {
    readonly eventStreamsMax: number;
    readonly eventStreamsPerOperatorMax: number;
    readonly eventStreamMaxBytes: number;
  };
}

/** So often a silent stream gets a comment, and the credential of its client is checked again. */
const aliveMs = 15_000;

const eventsQuery = z.strictObject({
  types: z
    .string()
    .transform((text) => text.split(','))
    .pipe(z.array(z.enum(eventTypes)).max(eventTypes.length))
    .optional(),
  device: z.string().min(1).max(128).optional(),
  lastEventId: z.string().max(64).optional(),
});

/** `GET /v1/metrics/history`. */
export function metricsRoutes({ samples }: EventRouteDeps): HttpRoute[] {
  return [
    route({
      method: 'GET',
      path: '/v1/metrics/history',
      summary: 'Connections, messages and denials of the last hour, in steps of five seconds',
      access: 'viewer',
      query: z.strictObject({
        seconds: z.coerce.number().int().min(5).max(3600).default(3600),
        broker: z.string().min(1).max(128).optional(),
      }),
      response: metricsHistorySchema,
      handle: ({ query }) =>
        Promise.resolve({
          stepMs: samplePeriodMs,
          points: samples.history(query.seconds, query.broker),
        }),
    }),
  ];
}

/** `GET /v1/events`: a response that does not end. */
export function eventsRoute({ clock, hub, limits }: EventRouteDeps): RawRoute {
  const counts = new Map<string, number>();
  let total = 0;
  return {
    method: 'GET',
    path: '/v1/events',
    access: 'viewer',
    handle(request) {
      const { operator, headers } = request;
      const query = eventsQuery.safeParse(request.query);
      if (!query.success || operator === undefined) {
        throw new FlotillaError('request-invalid', {
          detail: `query: types are ${eventTypes.join(', ')}`,
        });
      }
      const { types, device } = query.data;
      const { name } = operator;
      const own = counts.get(name) ?? 0;
      if (total >= limits.eventStreamsMax || own >= limits.eventStreamsPerOperatorMax) {
        throw new FlotillaError('too-many-requests', {
          retryAfterSeconds: 10,
          detail: `${own} streams of ${name}, ${total} in all`,
        });
      }
      total++;
      counts.set(name, own + 1);
      const { stream, response } = openStream(clock, request);
      stream.once('close', () => {
        total--;
        const left = (counts.get(name) ?? 1) - 1;
        if (left === 0) counts.delete(name);
        else counts.set(name, left);
      });
      const header = headers['last-event-id'];
      streamEvents(hub, stream, {
        wants: (event) =>
          (types === undefined || types.includes(event.type)) &&
          (device === undefined || event.device === device),
        lastEventId: query.data.lastEventId ?? (typeof header === 'string' ? header : undefined),
        bufferMaxBytes: limits.eventStreamMaxBytes,
      });
      return Promise.resolve(response);
    },
  };
}

/** Begins a stream of events, which ends when its client is no longer admitted, or has another role. */
export function openStream(
  clock: Clock,
  { admitAgain, operator }: RawRequest,
): { stream: PassThrough; response: RawResponse } {
  const stream = new PassThrough();
  let cancel: Cancel;
  const check = (): void => {
    cancel = clock.after(aliveMs, () => {
      admitAgain().then(
        (now) => {
          if (stream.destroyed) return;
          // What the stream may show was decided by the role that the caller had.
          if (now?.role !== operator?.role) {
            stream.end();
            return;
          }
          stream.write(': alive\n\n');
          check();
        },
        () => stream.end(),
      );
    });
  };
  check();
  stream.once('close', () => cancel());
  const headers = {
    // Proxies that buffer would hold events back.
    'x-accel-buffering': 'no',
    'x-content-type-options': 'nosniff',
  };
  return {
    stream,
    response: { type: 'text/event-stream', headers, body: stream, isEndless: true },
  };
}
