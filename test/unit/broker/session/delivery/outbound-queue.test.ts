/** The outbound queue of one session, with a store that answers when the test decides. */
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
import { MemoryTotals } from '../../../../../broker/session/delivery/memory-queue.ts';
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
  readonly duplicate: boolean;
  readonly afterCommit: boolean;
}

/** A connection that records everything. */
class RecordingSink implements PacketSink {
  hasRoom = true;
  readonly sent: Sent[] = [];
  readonly released: (readonly [number, boolean])[] = [];

  sendQos0(): void {
    throw new Error('no QoS 0 message was queued');
  }

  sendWithPacketId(
    ...[delivery, packetId, afterCommit]: Parameters<PacketSink['sendWithPacketId']>
  ): undefined {
    const payload = delivery.message.payload.toString();
    this.sent.push({ payload, packetId, duplicate: delivery.packetId !== 0, afterCommit });
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

interface QueueWorld {
  readonly store: SessionStore;
  readonly queue: OutboundQueue;
  readonly dropped: string[];
  /** Answers the oldest waiting read of the queue. */
  readonly answer: () => Promise<void>;
}

function queueWorld(kept: boolean, own: Partial<OutboundLimits> = {}): QueueWorld {
  const store = openMemoryStore({ limits: wideLimits, clock: fakeClock() });
  store.putSession(sessionRecord('c'));
  const waiting: (() => void)[] = [];
  const read = store.readQueue.bind(store);
  store.readQueue = async (...asked): Promise<readonly QueuedMessage[]> => {
    // The page of now, returned later: the caller knows what happened in between.
    const page = await read(...asked);
    await new Promise<void>((resolve) => waiting.push(resolve));
    return page;
  };
  const dropped: string[] = [];
  const context: OutboundContext = {
    queues: store,
    limits: { ...limits, ...own },
    memoryTotals: new MemoryTotals(),
    nowMs: () => 0,
    hasExpired: (message) => message.expired(0),
    mayReceive: () => true,
    fitsInTotal: () => true,
    dropped: (reason, count) => void dropped.push(...Array<string>(count).fill(reason)),
    failed: (error) => {
      throw error;
    },
  };
  return {
    store,
    queue: new OutboundQueue('c', context, kept),
    dropped,
    answer: async () => {
      await until('a read', () => waiting.length > 0);
      waiting.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

const deliver = (queue: OutboundQueue, payload: string, qos: 1 | 2 = 1): boolean =>
  queue.deliver(Message.from('t', qos, false, payload), qos, false, []);

test('packet ids start again at 1 after 65,535, and skip those in flight', (t) => {
  const { queue } = queueWorld(false);
  const sink = new RecordingSink();
  queue.attach(sink, 100, false);
  for (let n = 1; n <= 65_534; n++) {
    deliver(queue, 'x');
    if (n > 2) queue.onPuback(n);
  }
  sink.sent.length = 0;
  for (let n = 0; n < 3; n++) deliver(queue, 'x');
  t.deepEqual(
    sink.sent.map(({ packetId }) => packetId),
    [65_535, 3, 4],
  );
});

test('a message that was dropped while its page was read is not delivered', async (t) => {
  const { store, queue, answer, dropped } = queueWorld(true, { queueMaxMessages: 4 });
  for (const payload of ['1', '2', '3', '4']) {
    store.enqueue('c', deliveryOf(storedMessage('t', payload)));
  }
  const sink = new RecordingSink();
  queue.attach(sink, 10, true);
  for (const payload of ['5', '6']) deliver(queue, payload);
  t.is(dropped.length, 2);
  await answer();
  t.deepEqual(sink.payloads, ['3', '4']);
  await answer();
  t.deepEqual(sink.payloads, ['3', '4', '5', '6']);
});

test('a page that an earlier connection requested is not delivered to the next one', async (t) => {
  const { store, queue, answer } = queueWorld(true);
  for (const payload of ['1', '2']) store.enqueue('c', deliveryOf(storedMessage('t', payload)));
  const first = new RecordingSink();
  queue.attach(first, 10, true);
  queue.detach();
  const second = new RecordingSink();
  queue.attach(second, 10, true);
  await answer();
  t.deepEqual(second.sent, []);
  await answer();
  t.deepEqual(second.payloads, ['1', '2']);
  t.deepEqual(first.sent, []);
});

test('only PUBLISH at QoS 2 and PUBREL to kept sessions wait for the commit', (t) => {
  for (const kept of [true, false]) {
    const { queue } = queueWorld(kept);
    const sink = new RecordingSink();
    queue.attach(sink, 10, kept);
    deliver(queue, 'one', 1);
    deliver(queue, 'two', 2);
    queue.onPubrec(2, false);
    t.deepEqual(
      sink.sent.map(({ afterCommit }) => afterCommit),
      [false, kept],
    );
    t.deepEqual(sink.released, [[2, kept]]);
  }
});

test('a connection that reads slowly gets the waiting messages in order, not the newest one first', (t) => {
  for (const kept of [true, false]) {
    const { queue } = queueWorld(kept);
    const sink = new RecordingSink();
    queue.attach(sink, 2, kept);
    for (let n = 1; n <= 5; n++) deliver(queue, String(n));
    t.deepEqual(sink.payloads, ['1', '2']);
    queue.onPuback(1);
    deliver(queue, '6');
    for (let id = 2; id <= 5; id++) queue.onPuback(id);
    t.deepEqual(sink.payloads, ['1', '2', '3', '4', '5', '6']);
    queue.onPuback(6);
    sink.hasRoom = false;
    deliver(queue, '7');
    // There is room again, but the queue has not noticed.
    sink.hasRoom = true;
    deliver(queue, '8');
    queue.pump();
    t.deepEqual(sink.payloads.slice(6), ['7', '8']);
  }
});
