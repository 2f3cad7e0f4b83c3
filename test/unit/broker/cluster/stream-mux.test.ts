import test from 'ava';
import fc from 'fast-check';
import { dataMaxBytes, windowStartBytes } from '../../../../broker/cluster/mux-frames.ts';
import { StreamMux } from '../../../../broker/cluster/stream-mux.ts';
import { systemClock } from '../../../../core/clock.ts';
import { fakeClock } from '../../../support/fake-clock.ts';
import { muxWorld, WireUser } from '../../../support/mux-world.ts';
import { numbersOf, streamPair } from '../../../support/stream-pair.ts';
import { until } from '../../../support/until.ts';

/** The byte at a position of one direction of a stream. */
function byteAt(flow: number, at: number): number {
  return (at * 31 + (at >>> 8) * 7 + flow * 57) & 0xff;
}

/** One direction of a stream: what is sent, respecting the room, and what must arrive. */
class Flow {
  readonly from: WireUser;
  readonly to: WireUser;
  readonly #number: number;
  sentBytes = 0;
  /** What the sender still wants to send. */
  wantedBytes = 0;
  acknowledged = 0;
  awaited = 0;
  wrong = 0;
  endWanted = false;
  pausedAtBytes = -1;

  constructor(number: number, from: WireUser, to: WireUser) {
    this.#number = number;
    this.from = from;
    this.to = to;
    let at = 0;
    to.onReceived = (chunk) => {
      for (const byte of chunk) if (byte !== byteAt(number, at++)) this.wrong++;
    };
    from.onRoom = () => this.pump();
  }

  /** Whether everything was sent, has arrived, and is known to have left. */
  get isDone(): boolean {
    const hasLeft = this.acknowledged === this.awaited || this.endWanted;
    return this.wantedBytes === 0 && this.to.bytes === this.sentBytes && hasLeft;
  }

  pump(): void {
    const { wire } = this.from;
    while (this.wantedBytes > 0 && wire.isOpen && wire.accepts(1)) {
      const size = Math.min(this.wantedBytes, 100_000);
      const bytes = Buffer.alloc(size);
      for (let i = 0; i < size; i++) bytes[i] = byteAt(this.#number, this.sentBytes + i);
      this.wantedBytes -= size;
      this.sentBytes += size;
      this.awaited++;
      this.from.send(bytes, () => {
        this.acknowledged++;
      });
    }
    if (this.endWanted && this.wantedBytes === 0) wire.end();
  }
}

const step = fc.record({
  stream: fc.nat(4),
  side: fc.nat(1),
  what: fc.constantFrom('small', 'small', 'large', 'pause', 'resume', 'end', 'destroy', 'turn'),
  bytes: fc.nat(400),
});

test('bytes arrive whole and in order for any writes, pauses and ends, and every end is reported once', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.nat(), async (steps, seed) => {
      const world = muxWorld({ seed });
      const near = Array.from({ length: 5 }, (_, n) => world.open(n));
      await until('all are open', () => world.opened.length === 5);
      const flows = near.flatMap((user, n) => {
        const far = world.opened[n]!.user;
        return [new Flow(2 * n, user, far), new Flow(2 * n + 1, far, user)];
      });
      const destroyed = new Set<number>();
      for (const { stream, side, what, bytes } of steps) {
        const flow = flows[2 * stream + side]!;
        if (what === 'small' || what === 'large') {
          flow.wantedBytes += what === 'small' ? bytes : bytes * 2000;
          flow.pump();
        } else if (what === 'pause') flow.to.wire.pause();
        else if (what === 'resume') flow.to.wire.resume();
        else if (what === 'end') flow.endWanted = true;
        else if (what === 'destroy') {
          destroyed.add(stream);
          flow.from.wire.destroy();
        } else await new Promise(setImmediate);
        if (what === 'end') flow.pump();
      }
      for (const { to } of flows) to.wire.resume();
      await until('all was sent, unless the stream is closed', () => {
        for (const { to } of flows) to.wire.resume();
        return flows.every((flow) => flow.from.closed > 0 || flow.isDone);
      });
      for (const { from } of flows) from.wire.end();
      await until('all streams are closed', () => world.near.streams + world.far.streams === 0);
      await until('and reported', () => flows.every(({ from }) => from.closed > 0));
      t.deepEqual(world.reasons, []);
      for (const [n, flow] of flows.entries()) {
        t.is(flow.wrong, 0);
        t.is(flow.from.closed, 1);
        t.true(flow.to.bytes <= flow.sentBytes);
        const partner = flows[n ^ 1]!;
        const isCut = destroyed.has(n >>> 1) || partner.endWanted;
        if (isCut) continue;
        t.is(flow.to.bytes, flow.sentBytes);
        if (!flow.endWanted) t.is(flow.acknowledged, flow.awaited);
      }
      world.near.close();
      await until('both are closed', () => world.reasons.length === 2);
    }),
    { numRuns: 60 },
  );
});

test('a stream that is not read stops its sender and no other, and nothing is lost', async (t) => {
  const world = muxWorld();
  const [slow, quick] = [world.open(), world.open()];
  await until('both are open', () => world.opened.length === 2);
  const [slowFar, quickFar] = world.opened.map(({ user }) => user);
  slowFar!.wire.pause();
  const stalled = new Flow(0, slow, slowFar!);
  const running = new Flow(1, quick, quickFar!);
  for (const flow of [stalled, running]) {
    flow.wantedBytes = 5_000_000;
    flow.pump();
  }
  await until('the other one has everything', () => running.to.bytes === 5_000_000);
  t.is(stalled.to.bytes, 0);
  t.true(stalled.sentBytes <= windowStartBytes + 100_000, `${stalled.sentBytes} were accepted`);
  t.false(slow.wire.accepts(1));
  slowFar!.wire.resume();
  await until('the slow one has everything, too', () => stalled.to.bytes === 5_000_000);
  t.is(stalled.wrong + running.wrong, 0);
});

test('a connection that does not take bytes stops all senders, and they continue in turn', async (t) => {
  const world = muxWorld();
  const users = Array.from({ length: 40 }, (_, n) => world.open(n));
  await until('all are open', () => world.opened.length === 40);
  world.nearEnd.stalled = true;
  const flows = users.map((user, n) => new Flow(n, user, world.opened[n]!.user));
  for (const flow of flows) {
    flow.wantedBytes = 200_000;
    flow.pump();
  }
  const unsent = flows.reduce((sum, { from }) => sum + from.wire.unsentBytes, 0);
  // About 1 MB, and the rest of one batch for each stream that was accepted.
  t.true(unsent <= 2 * 1024 * 1024, `${unsent} of 8,000,000 bytes wait`);
  world.nearEnd.release();
  await until('all arrived', () => flows.every(({ to }) => to.bytes === 200_000));
  await until('all left', () => flows.every(({ from }) => from.wire.unsentBytes === 0));
  t.true(flows.every(({ wrong }) => wrong === 0));
});

test('a stream can be used before its connection exists', async (t) => {
  const near = new StreamMux({
    ...{ clock: systemClock, streamsMax: 10, onStream: undefined },
    onClosed: () => undefined,
  });
  const early = new WireUser(near.open({ n: 7 }));
  early.send('first');
  early.send(Buffer.alloc(windowStartBytes, 1));
  t.false(early.wire.accepts(1));
  t.true(early.wire.unsentBytes > windowStartBytes);
  const [nearEnd, farEnd] = streamPair(3);
  const opened: WireUser[] = [];
  const far = new StreamMux({
    ...{ clock: systemClock, streamsMax: 10, onClosed: () => undefined },
    onStream: (request, wire) => {
      t.deepEqual(request, { n: 7 });
      opened.push(new WireUser(wire));
    },
  });
  near.attach(nearEnd);
  far.attach(farEnd);
  await until('it arrived', () => opened[0]?.bytes === windowStartBytes + 5);
  await until('there is room', () => early.rooms === 1);
  near.close();
  await until('both ends are closed', () => early.closed === 1 && opened[0]!.closed === 1);
});

test('what the sender has sent before its end is read, however late', async (t) => {
  const world = muxWorld();
  const near = world.open();
  near.send('all of it');
  near.wire.end();
  t.false(near.wire.isOpen);
  await until('it is open', () => world.opened.length === 1);
  const { user } = world.opened[0]!;
  await until('it arrived', () => user.text === 'all of it');
  await until('both are closed', () => user.closed === 1 && near.closed === 1);
  t.true(near.wire.isFinished);

  const second = world.open();
  await until('it is open', () => world.opened.length === 2);
  const { user: late } = world.opened[1]!;
  late.wire.pause();
  second.send('read later');
  second.wire.end();
  await until('it left', () => second.wire.isFinished);
  world.near.close('the connection is lost');
  await until('the connection is closed', () => world.reasons.length === 2);
  late.wire.resume();
  await until('it is closed', () => late.closed === 1);
  t.is(late.text, 'read later');
});

test('a buffer is released when its bytes are copied, and reading may pause in the middle', async (t) => {
  const world = muxWorld();
  const near = world.open();
  let released = 0;
  const buffer = {
    bytes: Buffer.from('abcdef'),
    onRelease: undefined,
    release() {
      released++;
    },
  };
  near.wire.sendBuffer(buffer.bytes.subarray(0, 3), buffer, undefined);
  t.is(released, 1);
  const large = { ...buffer, bytes: Buffer.alloc(2 * windowStartBytes) };
  near.wire.sendBuffer(large.bytes, large, undefined);
  t.is(released, 1);
  await until('it is open', () => world.opened.length === 1);
  const { user } = world.opened[0]!;
  await until('all was copied', () => released === 2);
  user.onReceived = () => {
    user.wire.pause();
    setImmediate(() => user.wire.resume());
  };
  const before = user.bytes;
  near.send(Buffer.alloc(3 * dataMaxBytes));
  await until('all arrived', () => user.bytes >= before + 3 * dataMaxBytes);
  world.near.close();
  near.wire.sendBuffer(buffer.bytes, buffer, undefined);
  t.is(released, 3);
});

test('plug-ins can observe and close a stream', async (t) => {
  const world = muxWorld();
  const near = world.open();
  await until('it is open', () => world.opened.length === 1);
  const seen = world.opened[0]!.user.wire.stream();
  t.is(world.opened[0]!.user.wire.stream(), seen);
  near.wire.stream().destroy();
  await until('it is closed', () => near.closed === 1 && seen.destroyed);
});

test('streams over the limit are refused, and there is room again when the peer has confirmed the end', async (t) => {
  const world = muxWorld({ streamsMax: 3, farMax: 2 });
  const users = [0, 1, 2, 3].map((n) => world.open(n));
  users[2]!.send('lost');
  await until('two are refused', () => users.filter(({ closed }) => closed === 1).length === 2);
  t.deepEqual(
    users.map(({ closed }) => closed),
    [0, 0, 1, 1],
  );
  users[0]!.wire.destroy();
  await until('it is gone', () => world.near.streams === 1 && world.far.streams === 1);
  const next = world.open(9);
  await until('it is open', () => world.opened.length === 3);
  t.deepEqual(world.opened[2]!.request, { n: 9 });
  t.is(next.closed, 0);
  t.throws(() => world.near.open({ text: 'x'.repeat(17_000) }), { instanceOf: RangeError });
});

test('a peer that is silent for five seconds is closed, and a pause of this process does not count', async (t) => {
  const clock = fakeClock();
  const world = muxWorld({ clock });
  const near = world.open();
  await until('it is open', () => world.opened.length === 1);
  for (let second = 0; second < 20; second++) {
    clock.advance(1000);
    await turns();
  }
  t.deepEqual(world.reasons, []);
  world.nearEnd.stalled = true;
  world.farEnd.stalled = true;
  clock.advance(3500);
  clock.pause(60_000);
  clock.advance(0);
  t.deepEqual(world.reasons, []);
  world.nearEnd.release();
  world.farEnd.release();
  await turns();
  clock.advance(4000);
  t.deepEqual(world.reasons, []);
  world.nearEnd.stalled = true;
  world.farEnd.stalled = true;
  clock.advance(8000);
  t.deepEqual(world.reasons, ['the peer is silent', 'the peer is silent']);
  await until('the streams are closed', () => near.closed === 1);
  t.is(clock.pending, 0);
});

test('streams of any number are closed in turns when the connection is lost', async (t) => {
  const world = muxWorld();
  const users = Array.from({ length: 5000 }, (_, n) => world.open(n));
  await until('all are open', () => world.opened.length === 5000);
  const pick = numbersOf(5);
  for (let n = 0; n < 1000; n++) users[pick(5000)]!.send('x');
  world.nearEnd.destroy();
  await until('all are closed', () =>
    [...users, ...world.opened.map(({ user }) => user)].every(({ closed }) => closed === 1),
  );
  t.true(users.every(({ wire }) => !wire.isOpen));
  t.is(world.reasons.length, 2);
});

/** Lets everything that was written arrive. */
async function turns(): Promise<void> {
  for (let n = 0; n < 20; n++) await new Promise(setImmediate);
}
