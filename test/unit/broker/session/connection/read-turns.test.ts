/** How connections share the turns of the event loop when they send much. */
import test from 'ava';
import { ConnectionReader } from '../../../../../broker/session/connection/connection-reader.ts';
import { ReadTurns } from '../../../../../broker/session/connection/read-turns.ts';
import { fakeClock } from '../../../../support/fake-clock.ts';

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const packetMs = 0.1;
const pingreq = Buffer.from([0xc0, 0]);

/** Readers of connections whose packets take 0.1 ms each. */
function slowPackets() {
  const clock = fakeClock();
  const readTurns = new ReadTurns(clock);
  const context = {
    clock,
    counters: { bytesIn: 0 },
    limits: { connectPacketMaxBytes: 1000, packetMaxBytes: 1000 },
    rooms: { inbound: { bytes: 0, shareOf: (maxBytes: number) => maxBytes } },
  };
  /** Which connection handled a packet, in order. */
  const handled: string[] = [];
  const connection = (name: string) => {
    let left = 0;
    const owner = {
      closed: false,
      rateLimit: undefined,
      host: { scheduler: { isBehind: false }, readTurns, alwaysReads: false },
      hasRoom: true,
      onReadError: (error: unknown) => {
        throw error;
      },
    };
    const wire = { pause: () => undefined, resume: () => undefined };
    const reader: ConnectionReader = new ConnectionReader(owner, wire, context, () => {
      clock.advance(packetMs);
      handled.push(name);
      left--;
      return reader.afterPacket();
    });
    reader.acceptAllPackets();
    return {
      chunk: (packets: number) => {
        left += packets;
        reader.read(Buffer.concat(Array.from({ length: packets }, () => pingreq)));
      },
      get left() {
        return left;
      },
    };
  };
  return { clock, handled, connection };
}

test('a chunk of many slow packets is handled in parts, and others are read from in between', async (t) => {
  const { handled, connection } = slowPackets();
  const flood = connection('flood');
  const healthy = connection('healthy');
  flood.chunk(2000);
  const first = handled.length;
  t.true(first < 100, `${first} packets of the first turn`);
  for (let sent = 0; flood.left > 0; sent++) {
    const before = handled.length;
    healthy.chunk(1);
    t.is(handled.at(-1), 'healthy', 'a chunk with one packet is handled at once');
    await nextTurn();
    const inTurn = handled.length - before - 1;
    t.true(inTurn > 0 && inTurn <= 100, `${inTurn} packets in turn ${sent}`);
  }
  t.is(handled.filter((name) => name === 'flood').length, 2000);
});

test('chunks of several connections that arrive in one turn share its time', async (t) => {
  const { handled, connection } = slowPackets();
  const floods = Array.from({ length: 20 }, (_, at) => connection(`flood-${at}`));
  for (let turn = 0; turn < 10; turn++) {
    const before = handled.length;
    // Each one takes less time than one connection may have.
    for (const flood of floods) if (flood.left === 0) flood.chunk(40);
    const inTurn = handled.length - before;
    t.true(inTurn <= 100 + floods.length * 8, `${inTurn} packets of new chunks in turn ${turn}`);
    await nextTurn();
  }
  t.true(handled.length > 10 * 50);
});

test('small chunks of slow packets share the time of a turn, too', async (t) => {
  const { handled, connection } = slowPackets();
  const floods = Array.from({ length: 50 }, (_, at) => connection(`flood-${at}`));
  for (const flood of floods) flood.chunk(30);
  t.true(handled.length <= 8 * 30 + 50 + 50 * 8, `${handled.length} packets`);
  while (floods.some(({ left }) => left > 0)) await nextTurn();
  t.is(handled.length, 50 * 30);
});

test('a hundred connections that send much take turns, and one turn of the event loop stays short', async (t) => {
  const { clock, handled, connection } = slowPackets();
  const floods = Array.from({ length: 100 }, (_, at) => connection(`flood-${at}`));
  for (const flood of floods) flood.chunk(200);
  // The first one has a part, each of the others a few packets.
  t.true(handled.length <= 96 + 99 * 8, `${handled.length} packets`);
  const lastTurn = new Map<string, number>();
  let longestMs = 0;
  for (let turn = 0; floods.some(({ left }) => left > 0); turn++) {
    const [startMs, before] = [clock.monotonicMs(), handled.length];
    await nextTurn();
    longestMs = Math.max(longestMs, clock.monotonicMs() - startMs);
    for (const name of handled.slice(before)) lastTurn.set(name, turn);
  }
  t.true(longestMs <= 10, `${longestMs} ms`);
  // Nobody is finished long before the others: each one waited for its turn.
  const ends = [...lastTurn.values()];
  t.true(Math.min(...ends) > Math.max(...ends) / 2, `${Math.min(...ends)} ${Math.max(...ends)}`);
  t.is(handled.length, 100 * 200);
});
