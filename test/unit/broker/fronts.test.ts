import test from 'ava';
import fc from 'fast-check';
import type { WireHandlers } from '../../../broker/contracts/connection-wire.ts';
import { Bell, bellMemory } from '../../../broker/fronts/doorbell.ts';
import { frontCount } from '../../../broker/fronts/front-count.ts';
import { ringFrameMaxBytes, toFront, unsentMaxBytes } from '../../../broker/fronts/front-frames.ts';
import { FrontWire, type WireLink } from '../../../broker/fronts/front-wire.ts';
import { ringMemory, RingReceiver, RingSender } from '../../../broker/fronts/shared-ring.ts';
import { WriteBatch } from '../../../broker/session/output/write-batch.ts';

interface Ring {
  readonly sender: RingSender;
  readonly receiver: RingReceiver;
  /** Sends a frame; false if there is no room. */
  readonly send: (kind: number, id: number, bytes: Buffer) => boolean;
  /** Receives all frames, as copies, and releases them. */
  readonly receive: () => { kind: number; id: number; bytes: Buffer }[];
}

function ring(size: number): Ring {
  const memory = ringMemory(size);
  const bell = new Bell(bellMemory(1), 1);
  const sender = new RingSender(memory, bell);
  const receiver = new RingReceiver(memory, bell, true);
  return {
    sender,
    receiver,
    send(kind, id, bytes) {
      const at = sender.reserve(kind, id, bytes.length);
      if (at >= 0) bytes.copy(sender.bytes, at);
      return at >= 0;
    },
    receive() {
      sender.publish();
      const frames: { kind: number; id: number; bytes: Buffer }[] = [];
      receiver.drain((kind, id, bytes, start, end) => {
        frames.push({ kind, id, bytes: Buffer.from(bytes.subarray(start, end)) });
      }, Infinity);
      receiver.release();
      return frames;
    },
  };
}

test('frames of any size arrive unchanged and in order, however often the ring begins again', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 12 }), { maxLength: 40 }),
      (rounds) => {
        const { send, receive } = ring(1024);
        let id = 0;
        for (const sizes of rounds) {
          const sent: { kind: number; id: number; bytes: Buffer }[] = [];
          for (const size of sizes) {
            const frame = { kind: size % 50, id: ++id, bytes: Buffer.alloc(size, id & 0xff) };
            if (!send(frame.kind, frame.id, frame.bytes)) break;
            sent.push(frame);
          }
          if (sizes.length > 0 && sent.length === 0) return false;
          const got = receive();
          if (got.length !== sent.length) return false;
          for (const [at, frame] of got.entries()) {
            const expected = sent[at]!;
            if (frame.kind !== expected.kind || frame.id !== expected.id) return false;
            if (!frame.bytes.equals(expected.bytes)) return false;
          }
        }
        return true;
      },
    ),
  );
  t.pass();
});

test('a full ring accepts nothing until its frames are released', (t) => {
  const { sender, receiver, send } = ring(1024);
  const bytes = Buffer.alloc(248);
  while (send(1, 1, bytes));
  t.false(sender.hasRoom(248));
  sender.publish();
  receiver.drain(() => undefined, Infinity);
  t.false(sender.hasRoom(248), 'frames that were read are still valid');
  receiver.release();
  t.true(sender.hasRoom(248));
});

test('a view that is kept after the release does not have the bytes any more', (t) => {
  const { sender, receiver, send } = ring(1024);
  send(1, 1, Buffer.from('secret of one client'));
  sender.publish();
  let kept = '';
  let view: Uint8Array = Buffer.alloc(0);
  receiver.drain((_kind, _id, bytes, start, end) => {
    view = bytes.subarray(start, end);
    kept = bytes.toString('latin1', start, end);
  }, Infinity);
  receiver.release();
  t.is(kept, 'secret of one client');
  t.true(view.every((byte) => byte === 0xdb));
});

interface WireWorld {
  readonly wire: FrontWire;
  readonly sender: RingSender;
  readonly controls: number[];
  readonly waiting: FrontWire[];
  readonly events: string[];
  readonly receive: Ring['receive'];
  pauseOn: string;
}

function wireWorld(size = 16 * ringFrameMaxBytes): WireWorld {
  const { sender, receive } = ring(size);
  const controls: number[] = [];
  const waiting: FrontWire[] = [];
  const events: string[] = [];
  const link: WireLink = {
    sender,
    control: (kind) => void controls.push(kind),
    publishLater: () => undefined,
    awaitRoom: (one) => void waiting.push(one),
  };
  const wire = new FrontWire(link, 7);
  const world: WireWorld = { wire, sender, controls, waiting, events, receive, pauseOn: '' };
  const handlers: WireHandlers = {
    onData(chunk) {
      events.push(String(chunk));
      if (String(chunk) === world.pauseOn) wire.pause();
    },
    onRoom: () => void events.push('room'),
    onClosed: () => void events.push('closed'),
  };
  wire.listen(handlers);
  return world;
}

function batchOf(bytes: Buffer): WriteBatch {
  const batch = new WriteBatch();
  batch.add(bytes, 0, bytes.length);
  return batch;
}

test('what arrives while reading is paused is copied, and handled before reading goes on', (t) => {
  const world = wireWorld();
  const { wire, controls, events } = world;
  world.pauseOn = 'b';
  wire.pause();
  for (const text of ['a', 'b', 'c']) {
    const view = Buffer.from(text);
    wire.received(view);
    view.fill(0xdb);
  }
  t.deepEqual(events, []);
  wire.resume();
  t.deepEqual(events, ['a', 'b'], 'the handler paused again');
  wire.resume();
  t.deepEqual(events, ['a', 'b', 'c']);
  t.deepEqual(controls, [toFront.pause, toFront.pause, toFront.resume]);
});

test('a connection accepts no more than its limit until bytes have left, and reports when there is room', (t) => {
  const { wire, events, receive } = wireWorld();
  let sent = 0;
  for (; wire.accepts(16_384); sent += 16_384) {
    wire.send(batchOf(Buffer.alloc(16_384)), () => void events.push('sent'));
  }
  t.is(sent, unsentMaxBytes);
  t.is(wire.unsentBytes, sent);
  t.is(receive().length, sent / 16_384);
  wire.written(16_384);
  t.deepEqual(events, ['sent']);
  wire.written(16_384);
  t.deepEqual(events, ['sent', 'sent', 'room']);
  t.true(wire.accepts(16_384));
});

test('a batch that is larger than a frame is not accepted as a whole', (t) => {
  const { wire } = wireWorld();
  t.false(wire.accepts(ringFrameMaxBytes + 1));
  t.true(wire.accepts(ringFrameMaxBytes));
});

test('a connection waits for room in a full ring', (t) => {
  const { wire, sender, waiting, events } = wireWorld(2048);
  while (sender.reserve(1, 1, 500) >= 0);
  t.false(wire.accepts(500));
  t.deepEqual(waiting, [wire]);
  wire.onRingRoom();
  t.deepEqual(events, ['room']);
});

test('a closed connection is reported once, and its stream for plug-ins is closed', (t) => {
  const { wire, events, controls } = wireWorld();
  const stream = wire.stream();
  wire.end();
  t.false(wire.isOpen);
  t.true(wire.isFinished);
  wire.closed();
  wire.closed();
  wire.resume();
  t.deepEqual(events, ['closed']);
  t.true(stream.destroyed);
  t.deepEqual(controls, [toFront.end]);
});

test('fronts are used automatically from four cores on, and only on Linux', (t) => {
  t.is(frontCount('auto', 2, 'linux'), 0);
  t.is(frontCount('auto', 4, 'linux'), 3);
  t.is(frontCount('auto', 64, 'linux'), 8);
  t.is(frontCount('auto', 8, 'darwin'), 0);
  t.is(frontCount(2, 1, 'darwin'), 2);
});
