/**
 * Calls of brokers: the feed and their reports.
 *
 * @module
 */
import type { IncomingHttpHeaders } from 'node:http';
import { PassThrough } from 'node:stream';
import { z } from 'zod';
import { feedReportMaxBytes, feedReportSchema } from '../../../core/protocol/feed.ts';
import {
  brokerSampleReportSchema,
  type BrokerSampleReport,
} from '../../../core/protocol/broker-sample.ts';
import type { DeviceId } from '../../../core/device-id.ts';
import { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import type { Logger } from '../../../core/log.ts';
import type { BrokerIncidents } from '../../devices/broker-incidents.ts';
import type { RefusalAuditWriter } from '../../audit/refusal-audit-writer.ts';
import {
  answerMaxBytes,
  featuresHeader,
  queryReplySchema,
} from '../../../core/protocol/broker-query.ts';
import { knownGenerationSchema } from '../../../core/protocol/generation.ts';
import type { BrokerQueries } from '../../feed/broker-queries.ts';
import type { Feed } from '../../feed/directory-feed.ts';
import type { PresenceTable } from '../../devices/presence-table.ts';
import { requireIdentity } from '../client-certificate.ts';
import { route, type HttpRoute } from '../route.ts';
import type { RawRoute } from '../raw-route.ts';

export interface FeedRouteDeps {
  readonly feed: Feed;
  readonly incidents: BrokerIncidents;
  readonly presence: PresenceTable;
  readonly refusals: RefusalAuditWriter;
  readonly log: Logger;
  readonly queries: BrokerQueries;
  /** Called with the numbers of a broker. */
  readonly sampled: (broker: DeviceId, report: BrokerSampleReport) => void;
}

const feedQuery = z.strictObject({
  epoch: z.string().min(1).max(64).optional(),
  since: z.coerce.number().int().min(0).optional(),
  registry: z.string().min(1).max(64).optional(),
  run: z.string().min(1).max(64).optional(),
  commit: z.coerce.number().int().min(0).optional(),
  started: z.coerce.number().int().min(0).optional(),
});

/** `POST /v1/feed/report`. */
export function feedRoutes(deps: FeedRouteDeps): HttpRoute[] {
  return [
    route({
      method: 'POST',
      path: '/v1/feed/report',
      summary: 'Reports applied changes, connections, disconnections and refusals (for brokers)',
      access: 'broker',
      status: 204,
      body: feedReportSchema,
      bodyMaxBytes: feedReportMaxBytes,
      async handle({ body, identity }) {
        const broker = requireIdentity(identity).record.id;
        deps.feed.report(broker, body);
        for (const incident of body.incidents) await deps.incidents.take(incident, broker);
        await deps.presence.take(broker, body.presence, body.denied);
        if (body.refusals !== undefined) await deps.refusals.take(broker, body.refusals);
        return undefined;
      },
    }),
    route({
      method: 'POST',
      path: '/v1/feed/sample',
      summary: 'Reports the metrics of a broker',
      access: 'broker',
      status: 204,
      body: brokerSampleReportSchema,
      handle({ body, identity }) {
        deps.sampled(requireIdentity(identity).record.id, body);
        return Promise.resolve(undefined);
      },
    }),
    route({
      method: 'POST',
      path: '/v1/feed/answer',
      summary: "A broker's answer, or a part of it, to a question that came over the feed",
      access: 'broker',
      body: queryReplySchema,
      bodyMaxBytes: answerMaxBytes,
      response: z.object({ open: z.boolean() }),
      handle({ body, identity }) {
        const { id } = requireIdentity(identity).record;
        return Promise.resolve({ open: deps.queries.take(id, body) });
      },
    }),
  ];
}

/** `GET /v1/feed`: a response that does not end. */
export function feedStreamRoute({ feed, log }: FeedRouteDeps): RawRoute {
  return {
    method: 'GET',
    path: '/v1/feed',
    access: 'broker',
    handle({ identity, query, headers }) {
      const { record, certificate } = requireIdentity(identity);
      const parsed = feedQuery.safeParse(query);
      if (!parsed.success) throw new FlotillaError('request-invalid', { detail: 'query' });
      const { epoch, since, started, ...rest } = parsed.data;
      const known = knownGenerationSchema.safeParse({ ...rest, startedAtMs: started });
      const from = { epoch, since, known: known.data };
      const stream = new PassThrough();
      const { fingerprint, notAfterMs } = certificate;
      const peer = { broker: record.id, fingerprint, notAfterMs };
      feed.serve(peer, stream, from, featuresOf(headers)).catch((error: unknown) => {
        log.error({ err: error, device: peer.broker }, 'the feed to a broker failed');
        stream.destroy();
      });
      return Promise.resolve({ type: 'application/x-ndjson', body: stream, isEndless: true });
    },
  };
}

function featuresOf(headers: IncomingHttpHeaders): string[] {
  const header = headers[featuresHeader];
  return typeof header === 'string' ? header.slice(0, 256).split(/, */) : [];
}
