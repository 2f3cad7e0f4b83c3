/** What one session is owed, against a store whose answers come when the test wants. */
import test from 'ava';
import { openMemoryStore } from '../../../../../broker/store/memory-store.ts';
import type { QueuedMessage, SessionStore } from '../../../../../broker/store/session-store.ts';
import { Message } from '../../../../../broker/session/delivery/message.ts';
import type {
  OutboundContext,
  OutboundLimits,
} from '../../../../../broker/session/delivery/outbound-context.ts';
import { OutboundQueue } from '../../../../../broker/session/delivery/outbound-queue.ts';
import type { PacketSink } from '../../../../../broker/session/delivery/packet-sink.ts';
import { Qos0Totals } from '../../../../../broker/session/delivery/qos0-queue.ts';
import { fakeClock } from '../../../../support/fake-clock.ts';
import {
  deliveryOf,
  sessionRecord,
  storedMessage,
  wideLimits,
} from '../../../../support/store-samples.ts';
import { until } from '../../../../support/until.ts';

interface Sent {
  readonly payload: string;
  readonly packetId: number;
  readonly again: boolean;
  readonly afterCommit: boolean;
}

/** A connection that takes everything down. */
class Pen implements PacketSink {
  hasRoom = true;
  readonly sent: Sent[] = [];
  readonly released: (readonly [number, boolean])[] = [];

  sendQos0(): void {
    throw new Error('nothing of QoS 0 was owed');
  }

  sendWithPacketId(
    ...[delivery, packetId, afterCommit]: Parameters<PacketSink['sendWithPacketId']>
  ): undefined {
    const payload = delivery.message.payload.toString();
    this.sent.push({ payload, packetId, again: delivery.packetId !== 0, afterCommit });
  }

  sendRelease(packetId: number, afterCommit: boolean): void {
    this.released.push([packetId, afterCommit]);
  }

  get payloads(): string[] {
    return this.sent.map(({ payload }) => payload);
  }
}

const limits: OutboundLimits = {
  queueMaxMessages: 1000,
  queueMaxBytes: 1_000_000,
  queueOverflow: 'drop-oldest',
  queueQos0: false,
};

interface Bench {
  readonly store: SessionStore;
  readonly outgoing: OutboundQueue;
  readonly dropped: string[];
  /** Lets the oldest read of the queue that waits be answered. */
  readonly answer: () => Promise<void>;
}

function bench(kept: boolean, own: Partial<OutboundLimits> = {}): Bench {
  const store = openMemoryStore({ limits: wideLimits, clock: fakeClock() });
  store.putSession(sessionRecord('c'));
  const waiting: (() => void)[] = [];
  const read = store.readQueue.bind(store);
  store.readQueue = async (...asked): Promise<readonly QueuedMessage[]> => {
    // As of now, given later: what happens in between the caller knows.
    const page = await read(...asked);
    await new Promise<void>((resolve) => waiting.push(resolve));
    return page;
  };
  const dropped: string[] = [];
  const context: OutboundContext = {
    store,
    limits: { ...limits, ...own },
    qos0Totals: new Qos0Totals(),
    nowMs: () => 0,
    mayReceive: () => true,
    fitsInTotal: () => true,
    dropped: (reason, count) => void dropped.push(...Array<string>(count).fill(reason)),
    failed: (error) => {
      throw error;
    },
  };
  return {
    store,
    outgoing: new OutboundQueue('c', context, kept),
    dropped,
    answer: async () => {
      await until('a read', () => waiting.length > 0);
      waiting.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

const deliver = (outgoing: OutboundQueue, payload: string, qos: 1 | 2 = 1): boolean =>
  outgoing.deliver(Message.from('t', qos, false, payload), qos, false, []);

test('packet ids begin again at 1 behind 65,535, and pass over what is still in flight', (t) => {
  const { outgoing } = bench(false);
  const pen = new Pen();
  outgoing.attach(pen, 100, false);
  for (let n = 1; n <= 65_534; n++) {
    deliver(outgoing, 'x');
    if (n > 2) outgoing.onPuback(n);
  }
  pen.sent.length = 0;
  for (let n = 0; n < 3; n++) deliver(outgoing, 'x');
  t.deepEqual(
    pen.sent.map(({ packetId }) => packetId),
    [65_535, 3, 4],
  );
});

test('what was dropped while a page was on its way is not delivered out of it', async (t) => {
  const { store, outgoing, answer, dropped } = bench(true, { queueMaxMessages: 4 });
  for (const payload of ['1', '2', '3', '4']) {
    store.enqueue('c', deliveryOf(storedMessage('t', payload)));
  }
  const pen = new Pen();
  outgoing.attach(pen, 10, true);
  for (const payload of ['5', '6']) deliver(outgoing, payload);
  t.is(dropped.length, 2);
  await answer();
  t.deepEqual(pen.payloads, ['3', '4']);
  await answer();
  t.deepEqual(pen.payloads, ['3', '4', '5', '6']);
});

test('a page that an earlier connection asked for is not delivered to the next one', async (t) => {
  const { store, outgoing, answer } = bench(true);
  for (const payload of ['1', '2']) store.enqueue('c', deliveryOf(storedMessage('t', payload)));
  const first = new Pen();
  outgoing.attach(first, 10, true);
  outgoing.detach();
  const second = new Pen();
  outgoing.attach(second, 10, true);
  await answer();
  t.deepEqual(second.sent, []);
  await answer();
  t.deepEqual(second.payloads, ['1', '2']);
  t.deepEqual(first.sent, []);
});

test('what must be durable before it leaves is PUBLISH at QoS 2 and PUBREL of kept sessions, nothing else', (t) => {
  for (const kept of [true, false]) {
    const { outgoing } = bench(kept);
    const pen = new Pen();
    outgoing.attach(pen, 10, kept);
    deliver(outgoing, 'one', 1);
    deliver(outgoing, 'two', 2);
    outgoing.onPubrec(2, false);
    t.deepEqual(
      pen.sent.map(({ afterCommit }) => afterCommit),
      [false, kept],
    );
    t.deepEqual(pen.released, [[2, kept]]);
  }
});

test('a connection that reads slowly gets what waits in order, not what is newest', (t) => {
  for (const kept of [true, false]) {
    const { outgoing } = bench(kept);
    const pen = new Pen();
    outgoing.attach(pen, 2, kept);
    for (let n = 1; n <= 5; n++) deliver(outgoing, String(n));
    t.deepEqual(pen.payloads, ['1', '2']);
    outgoing.onPuback(1);
    deliver(outgoing, '6');
    for (let id = 2; id <= 5; id++) outgoing.onPuback(id);
    t.deepEqual(pen.payloads, ['1', '2', '3', '4', '5', '6']);
    outgoing.onPuback(6);
    pen.hasRoom = false;
    deliver(outgoing, '7');
    // There is room again, and nobody has looked yet.
    pen.hasRoom = true;
    deliver(outgoing, '8');
    outgoing.pump();
    t.deepEqual(pen.payloads.slice(6), ['7', '8']);
  }
});
