import test from 'ava';
import fc from 'fast-check';
import { HeldBytes } from '../../../../broker/cluster/held-bytes.ts';
import {
  dataMaxBytes,
  FrameParser,
  MuxFault,
  muxKinds,
  windowMaxBytes,
  windowStartBytes,
} from '../../../../broker/cluster/mux-frames.ts';
import { StreamMux } from '../../../../broker/cluster/stream-mux.ts';
import { fakeClock } from '../../../support/fake-clock.ts';
import { WireUser } from '../../../support/mux-world.ts';
import { streamPair } from '../../../support/stream-pair.ts';
import { until } from '../../../support/until.ts';

function frame(kind: number, stream: number, payload: Buffer | string = ''): Buffer {
  const bytes = Buffer.from(payload);
  const header = Buffer.alloc(9);
  header.writeUInt32BE(bytes.length, 0);
  header.writeUInt32BE(stream, 4);
  header[8] = kind;
  return Buffer.concat([header, bytes]);
}

function credit(stream: number, bytes: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(bytes);
  return frame(muxKinds.credit, stream, payload);
}

const { open, data, end, destroy, ping } = muxKinds;
const opened = frame(open, 1, '{}');

test('frames arrive unchanged, however they are split', (t) => {
  const one = fc.oneof(
    fc.record({ kind: fc.constant<number>(data), payload: fc.uint8Array({ minLength: 1 }) }),
    fc.record({ kind: fc.constant<number>(open), payload: fc.uint8Array({ minLength: 1 }) }),
    fc.record({ kind: fc.constant<number>(end), payload: fc.constant(new Uint8Array()) }),
  );
  fc.assert(
    fc.property(fc.array(one), fc.array(fc.integer({ min: 1, max: 20 })), (frames, cuts) => {
      const found: { kind: number; stream: number; payload: Buffer }[] = [];
      const parser = new FrameParser({
        begin(kind, stream, bytes) {
          if (kind === data) found.push({ kind, stream, payload: Buffer.alloc(0) });
          t.is(bytes, frames[stream]!.payload.length);
        },
        data(part) {
          const last = found.at(-1)!;
          last.payload = Buffer.concat([last.payload, part]);
        },
        control: (kind, stream, payload) =>
          void found.push({ kind, stream, payload: Buffer.from(payload) }),
      });
      const bytes = Buffer.concat(
        frames.map(({ kind, payload }, n) => frame(kind, n, Buffer.from(payload))),
      );
      let at = 0;
      for (const cut of cuts) {
        parser.push(bytes.subarray(at, at + cut));
        at += cut;
      }
      parser.push(bytes.subarray(at));
      t.deepEqual(
        found.map(({ kind, stream, payload }) => [kind, stream, payload.toString('hex')]),
        frames.map(({ kind, payload }, n) => [kind, n, Buffer.from(payload).toString('hex')]),
      );
    }),
  );
});

test('nothing is handled after the parser was stopped', (t) => {
  const seen: number[] = [];
  const parser = new FrameParser({
    begin: () => undefined,
    data: () => undefined,
    control(_kind, stream) {
      seen.push(stream);
      parser.stop();
    },
  });
  parser.push(Buffer.concat([frame(end, 1), frame(end, 2)]));
  parser.push(frame(end, 3));
  t.deepEqual(seen, [1]);
});

test('small pieces that are held share blocks', (t) => {
  const held = new HeldBytes();
  for (let n = 0; n < 5000; n++) held.push(Buffer.from([n & 0xff]));
  held.push(Buffer.alloc(10_000, 7));
  const blocks: Buffer[] = [];
  for (let next = held.shift(); next !== undefined; next = held.shift()) blocks.push(next);
  t.is(blocks.length, 3);
  const all = Buffer.concat(blocks);
  t.is(all.length, 15_000);
  t.is(all[4999], 4999 & 0xff);
  t.true(held.isEmpty);
});

/** Sends bytes to a node, and returns why it closed the connection; undefined if it did not. */
async function closedFor(bytes: Buffer): Promise<string | undefined> {
  const [peer, own] = streamPair(11);
  let reason: string | undefined;
  const users: WireUser[] = [];
  const mux = new StreamMux({
    clock: fakeClock(),
    streamsMax: 2,
    onStream(_request, stream) {
      const user = new WireUser(stream);
      if (users.length === 0) stream.pause();
      users.push(user);
    },
    onClosed: (why) => void (reason = why),
  });
  mux.attach(own);
  peer.resume();
  peer.write(bytes);
  // An end of the last stream shows that everything was handled.
  peer.write(Buffer.concat([frame(open, 77, '{}'), frame(end, 77)]));
  let answer = '';
  peer.on('data', (chunk: Buffer) => void (answer += chunk.toString('latin1')));
  await until(
    'it is handled',
    () => reason !== undefined || answer.includes(frame(destroy, 77).toString('latin1')),
  );
  const found = reason;
  mux.close();
  for (const { wire } of users) wire.resume();
  await until('all streams are closed', () => users.every(({ closed }) => closed === 1));
  return found;
}

test('a peer may use its credit, end a stream once, and use its number again', async (t) => {
  const half = Buffer.alloc(windowStartBytes / 2);
  t.is(
    await closedFor(Buffer.concat([opened, frame(data, 1, half), frame(data, 1, half)])),
    undefined,
  );
  t.is(
    await closedFor(Buffer.concat([opened, credit(1, windowMaxBytes - windowStartBytes)])),
    undefined,
  );
  t.is(await closedFor(Buffer.concat([opened, frame(destroy, 1), opened])), undefined);
  t.is(await closedFor(Buffer.concat([opened, frame(ping, 0), frame(end, 1)])), undefined);
});

const hostile: Record<string, Buffer> = {
  'an unknown kind': frame(9, 1),
  'kind 0': frame(0, 0),
  'data of an unknown stream': frame(data, 1, 'x'),
  'credit of an unknown stream': credit(1, 5),
  'an end of an unknown stream': frame(end, 3),
  'a stream that is open already': Buffer.concat([opened, opened]),
  'stream 0': frame(open, 0, '{}'),
  'a request that is not JSON': frame(open, 1, '{'),
  'a request that is not UTF-8': frame(open, 1, Buffer.from([0x22, 0xff, 0x22])),
  'a request with a dangerous name': frame(open, 1, '{"__proto__":{}}'),
  'a request without bytes': frame(open, 1),
  'a request that is too long': frame(open, 1, JSON.stringify('x'.repeat(17_000))),
  'data without bytes': Buffer.concat([opened, frame(data, 1)]),
  'data that is too long': Buffer.concat([opened, frame(data, 1, Buffer.alloc(dataMaxBytes + 1))]),
  'a length of 4 GB': Buffer.concat([opened, Buffer.from('ffffffff0000000102', 'hex')]),
  'more data than credit': Buffer.concat([
    opened,
    frame(data, 1, Buffer.alloc(windowStartBytes)),
    frame(data, 1, 'x'),
  ]),
  'more data than credit for a stream that was refused': Buffer.concat([
    ...[1, 2, 3].map((n) => frame(open, n, '{}')),
    frame(data, 3, Buffer.alloc(windowStartBytes)),
    frame(data, 3, 'x'),
  ]),
  'data after the end': Buffer.concat([opened, frame(end, 1), frame(data, 1, 'x')]),
  'a second end': Buffer.concat([frame(open, 1, '{}'), frame(end, 1), frame(destroy, 1)]),
  'credit after the end': Buffer.concat([opened, frame(data, 1, 'x'), frame(end, 1), credit(1, 1)]),
  'no credit': Buffer.concat([opened, credit(1, 0)]),
  'too much credit': Buffer.concat([opened, credit(1, windowMaxBytes - windowStartBytes + 1)]),
  'far too much credit': Buffer.concat([opened, credit(1, 0xffffffff)]),
  'a short credit': Buffer.concat([opened, frame(muxKinds.credit, 1, 'abc')]),
  'a ping on a stream': Buffer.concat([opened, frame(ping, 1)]),
  'a ping with bytes': frame(ping, 0, 'x'),
  'an end with bytes': Buffer.concat([opened, frame(end, 1, 'x')]),
  'too many streams': Buffer.concat(
    Array.from({ length: 1100 }, (_, n) => frame(open, n + 1, '{}')),
  ),
};

for (const [what, bytes] of Object.entries(hostile)) {
  test(`the connection is closed after ${what}`, async (t) => {
    t.regex((await closedFor(bytes)) ?? 'not closed', /^the peer sent /);
  });
}

test('a node that must not open streams is closed when it does', async (t) => {
  const [peer, own] = streamPair(2);
  let reason: string | undefined;
  const mux = new StreamMux({
    ...{ clock: fakeClock(), streamsMax: 2, onStream: undefined },
    onClosed: (why) => void (reason = why),
  });
  mux.attach(own);
  peer.write(opened);
  await until('it is closed', () => reason !== undefined);
  t.is(reason, 'the peer sent stream 1 must not be opened');
});

test('arbitrary bytes never cause anything but a closed connection', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const parser = new FrameParser({
        begin: () => undefined,
        data: () => undefined,
        control: () => undefined,
      });
      try {
        parser.push(Buffer.from(bytes));
        return true;
      } catch (error) {
        return error instanceof MuxFault;
      }
    }),
  );
  t.pass();
});
