/**
 * A client of Server-Sent Events, in miniature.
 *
 * @module
 */
import type { ExecutionContext } from 'ava';
import { openHttps, type Call } from '../../core/protocol/https-client.ts';
import { until } from './until.ts';

export interface TestEvent {
  readonly id: string;
  readonly type: string;
  // Compared with what a test expects; shapes are checked by their schemas.
  readonly data: Readonly<Record<string, unknown>>;
}

export interface TestStream {
  readonly status: number;
  readonly events: readonly TestEvent[];
  readonly ended: boolean;
  event(what: string, wanted: (event: TestEvent) => boolean): Promise<TestEvent>;
  readonly pause: () => void;
  readonly resume: () => void;
  readonly close: () => void;
}

export async function followEvents(
  t: Pick<ExecutionContext, 'teardown'>,
  call: Omit<Call, 'method'>,
): Promise<TestStream> {
  const response = await openHttps({ method: 'GET', ...call });
  const events: TestEvent[] = [];
  let ended = false;
  let text = '';
  response.setEncoding('utf8');
  response.on('data', (chunk: string) => {
    const blocks = (text + chunk).split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const fields = new Map(
        block.split('\n').map((line) => {
          const at = line.indexOf(': ');
          return [line.slice(0, at), line.slice(at + 2)] as const;
        }),
      );
      const data = fields.get('data');
      if (data === undefined) continue;
      events.push({
        id: fields.get('id') ?? '',
        type: fields.get('event') ?? 'message',
        data: JSON.parse(data) as TestEvent['data'],
      });
    }
  });
  response.on('error', () => undefined);
  response.on('close', () => (ended = true));
  const close = (): void => void response.destroy();
  t.teardown(close);
  return {
    status: response.statusCode ?? 0,
    events,
    get ended() {
      return ended;
    },
    event: (what, wanted) => until(what, () => events.find(wanted)),
    pause: () => void response.pause(),
    resume: () => void response.resume(),
    close,
  };
}
