/**
 * `GET /v1/messages/tail`: messages as they are published, as Server-Sent Events. It ends by itself: after a
 * time, after a number of messages, or when the brokers ended it.
 *
 * @module
 */
import type { PassThrough } from 'node:stream';
import { z } from 'zod';
import type { Clock } from '../../../core/clock.ts';
import { isDeviceId, type DeviceId } from '../../../core/device-id.ts';
import { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import {
  tailMaxMessages,
  tailMaxSeconds,
  type BrokerAnswerOf,
  type OperatorSubject,
} from '../../../core/protocol/broker-query.ts';
import { RateLimiter } from '../../../core/rate-limiter.ts';
import { catalogued, problemResponse } from '../problem.ts';
import type { RawRoute } from '../raw-route.ts';
import { subjectOf } from '../operator-subject.ts';
import { brokerTimeoutMs, type BrokerRouteDeps } from './broker-routes.ts';
import { openStream } from './event-routes.ts';

export interface TailRouteDeps extends BrokerRouteDeps {
  readonly clock: Clock;
  readonly limits: { readonly eventStreamMaxBytes: number };
}

/** Tails of one operator, and in all, at the same time. */
const perOperatorMax = 4;
const totalMax = 32;
/** Each start is a line in the audit log. */
const startsPerMinuteMax = 60;

const tailQuery = z.strictObject({
  filter: z.string().min(1).max(1024),
  seconds: z.coerce.number().int().min(1).max(tailMaxSeconds).default(300),
  max: z.coerce.number().int().min(1).max(tailMaxMessages).default(1000),
  broker: z.custom<DeviceId>((value) => typeof value === 'string' && isDeviceId(value)).optional(),
});

export function tailRoute(deps: TailRouteDeps): RawRoute {
  const counts = new Map<string, number>();
  const starts = new RateLimiter(deps.clock, startsPerMinuteMax, 60_000);
  let total = 0;
  return {
    method: 'GET',
    path: '/v1/messages/tail',
    access: 'viewer',
    async handle(request) {
      const { operator, actor, remoteAddress } = request;
      const query = tailQuery.safeParse(request.query);
      if (!query.success || operator === undefined) {
        throw new FlotillaError('request-invalid', {
          detail: `query: filter, seconds (at most ${tailMaxSeconds}), max (at most ${tailMaxMessages}), broker`,
        });
      }
      const { filter, seconds } = query.data;
      const { name } = operator;
      const own = counts.get(name) ?? 0;
      if (own >= perOperatorMax || total >= totalMax) {
        throw new FlotillaError('too-many-requests', { retryAfterSeconds: 10 });
      }
      const brokers = query.data.broker === undefined ? deps.feed.brokers : [query.data.broker];
      if (brokers.length === 0) throw new FlotillaError('broker-not-connected');
      const retryAfterSeconds = starts.take(name);
      if (retryAfterSeconds > 0)
        throw new FlotillaError('too-many-requests', { retryAfterSeconds });
      await deps.audit.append({
        action: 'messages-watched',
        actor,
        remoteAddress,
        detail: { filter: filter.slice(0, 256), seconds },
      });
      total++;
      counts.set(name, own + 1);
      const { stream, response } = openStream(deps.clock, request);
      stream.once('close', () => {
        total--;
        const others = (counts.get(name) ?? 1) - 1;
        if (others === 0) counts.delete(name);
        else counts.set(name, others);
      });
      const subject = subjectOf(operator, remoteAddress);
      followMessages(deps, stream, { ...query.data, brokers, subject });
      return response;
    },
  };
}

interface Watch {
  readonly filter: string;
  readonly seconds: number;
  readonly max: number;
  readonly brokers: readonly DeviceId[];
  readonly subject: OperatorSubject;
}

/** Sends what the brokers report until all of them ended, or until the stream closes. */
function followMessages(
  { queries, limits }: TailRouteDeps,
  stream: PassThrough,
  { filter, seconds, max, brokers, subject }: Watch,
): void {
  const event = (type: string, data: object): void => {
    if (stream.writableEnded || stream.destroyed) return;
    stream.write(`event: ${type}\ndata: ${JSON.stringify(data)}\n\n`);
  };
  let left = max;
  let open = brokers.length;
  let unsent = 0;
  const finish = (): void => {
    event('end', {});
    stream.end();
  };
  const end = (error: FlotillaError | undefined, broker: DeviceId): void => {
    if (error !== undefined) event('refused', { broker, ...problemResponse(error) });
    if (--open <= 0) finish();
  };
  const part = ({ messages, dropped }: BrokerAnswerOf<'tail'>, broker: DeviceId): void => {
    const shown = messages.slice(0, left);
    left -= shown.length;
    // A client that reads too slowly misses messages instead of filling the memory.
    if (stream.writableLength > limits.eventStreamMaxBytes) {
      unsent += shown.length + dropped;
    } else {
      event('messages', { broker, messages: shown, dropped: dropped + unsent });
      unsent = 0;
    }
    if (left <= 0) finish();
  };
  const stops = brokers.map((broker) => {
    try {
      return queries.follow(
        broker,
        { kind: 'tail', subject, filter, seconds, messagesMax: max },
        {
          timeoutMs: seconds * 1000 + brokerTimeoutMs,
          part: (batch) => part(batch, broker),
          done: (error) => end(error, broker),
        },
      );
    } catch (error) {
      end(catalogued(error), broker);
      return () => undefined;
    }
  });
  stream.once('close', () => {
    for (const stop of stops) stop();
  });
}
