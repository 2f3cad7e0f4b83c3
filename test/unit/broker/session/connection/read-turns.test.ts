/** How connections share the turns of the event loop when they send much. */
import test from 'ava';
import { ReadTurns } from '../../../../../broker/session/connection/read-turns.ts';
import { fakeClock } from '../../../../support/fake-clock.ts';

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const packetMs = 0.1;

/** Connections whose packets take 0.1 ms each, in the way a reader asks for its turns. */
function slowPackets() {
  const clock = fakeClock();
  const turns = new ReadTurns(clock);
  /** Which connection handled a packet, in order. */
  const handled: string[] = [];
  const connection = (name: string) => {
    let left = 0;
    let toCheck = 0;
    const handle = (): void => {
      while (left > 0) {
        left--;
        clock.advance(packetMs);
        handled.push(name);
        if (--toCheck > 0) continue;
        toCheck = turns.mayGoOn();
        if (toCheck === 0) {
          turns.wait(reader);
          return;
        }
      }
    };
    const reader = {
      continueReading: () => {
        toCheck = 1;
        handle();
      },
    };
    return {
      chunk: (packets: number) => {
        left += packets;
        toCheck = turns.begin(clock.monotonicMs());
        handle();
      },
      get left() {
        return left;
      },
    };
  };
  return { clock, turns, handled, connection };
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
