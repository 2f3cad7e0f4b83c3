import test from 'ava';
import { sharedTicketKeys, ticketKeysLeftMs } from '../../../../broker/certificates/ticket-keys.ts';

const dayMs = 86_400_000;
const usual = {
  secret: Buffer.alloc(32, 1),
  port: 'mqtts',
  authorities: ['one', 'other'],
  nowMs: 20_000 * dayMs + 5,
};

test('nodes with the same secret and CA certificates have the same keys on a day, and everything else changes them', (t) => {
  const keys = sharedTicketKeys(usual);
  t.is(keys.length, 48);
  const again = sharedTicketKeys({
    ...usual,
    authorities: ['other', 'one'],
    nowMs: usual.nowMs + dayMs - 10,
  });
  t.deepEqual(again, keys);
  const changes = [
    { secret: Buffer.alloc(32, 2) },
    { port: 'wss' },
    { authorities: ['one'] },
    { nowMs: usual.nowMs + dayMs },
  ];
  for (const change of changes) t.notDeepEqual(sharedTicketKeys({ ...usual, ...change }), keys);
});

test('keys end with their day', (t) => {
  t.is(ticketKeysLeftMs(usual.nowMs), dayMs - 5);
  t.is(ticketKeysLeftMs(20_000 * dayMs), dayMs);
});
