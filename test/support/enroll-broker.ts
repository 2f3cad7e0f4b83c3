/**
 * A minimal broker for the feed: reads every line, and reports what a test asks for.
 *
 * @module
 */
import type { IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import type { ExecutionContext } from 'ava';
import { feedLineSchema, type FeedLine, type FeedReport } from '../../core/protocol/feed.ts';
import { openHttps } from '../../core/protocol/https-client.ts';
import { replyOf, type Reply, type TestService } from './enroll-service.ts';
import { until } from './until.ts';

export interface TestBroker {
  readonly lines: readonly FeedLine[];
  readonly epoch: string;
  /** The newest sequence number that it has received. */
  readonly sequence: number;
  /** Waits for a line. */
  line(what: string, wanted: (line: FeedLine) => boolean): Promise<FeedLine>;
  report(report: Partial<FeedReport>): Promise<Reply>;
  /** Reports each change at once as in force, with a number of closed connections. */
  answering: ((line: FeedLine & { sequence: number }) => number) | undefined;
  readonly ended: boolean;
  readonly close: () => void;
}

/** Connects with the broker's certificate. */
export async function followFeed(
  t: Pick<ExecutionContext, 'teardown'>,
  service: TestService,
  query = '',
  headers: Readonly<Record<string, string>> = {},
): Promise<TestBroker> {
  const { url, ca, broker } = service;
  const response: IncomingMessage = await openHttps({
    method: 'GET',
    url: `${url}/v1/feed${query}`,
    ca,
    ...broker,
    headers,
  });
  const lines: FeedLine[] = [];
  let ended = false;
  const made: TestBroker = {
    lines,
    answering: undefined,
    get epoch() {
      const [hello] = lines;
      return hello?.type === 'hello' ? hello.epoch : '';
    },
    get sequence() {
      return Math.max(0, ...lines.map((line) => ('sequence' in line ? line.sequence : 0)));
    },
    get ended() {
      return ended;
    },
    line: (what, wanted) => until(what, () => lines.find(wanted)),
    async report(report) {
      return replyOf(
        await service.call({
          method: 'POST',
          path: '/v1/feed/report',
          ...broker,
          body: { epoch: made.epoch, applied: made.sequence, ...report },
        }),
      );
    },
    close: () => void response.destroy(),
  };
  response.on('close', () => (ended = true));
  response.on('error', () => undefined);
  const reader = createInterface({ input: response });
  reader.on('error', () => undefined);
  reader.on('line', (text) => {
    const line = feedLineSchema.parse(JSON.parse(text));
    lines.push(line);
    const { answering } = made;
    if (answering === undefined || !(line.type === 'change' || line.type === 'removed')) return;
    const connections = answering(line);
    const closed = connections === 0 ? [] : [{ sequence: line.sequence, connections }];
    made.report({ applied: line.sequence, closed }).catch(() => undefined);
  });
  t.teardown(made.close);
  await made.line('hello', ({ type }) => type === 'hello');
  return made;
}
