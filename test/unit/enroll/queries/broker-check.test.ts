import test from 'ava';
import { parseDeviceId } from '../../../../core/device-id.ts';
import type { BrokerAnswer } from '../../../../core/protocol/operator-api.ts';
import { brokerCheck } from '../../../../enroll/queries/broker-check.ts';

const nowMs = Date.UTC(2030, 0, 1);
const iso = (agoMs: number): string => new Date(nowMs - agoMs).toISOString();

function broker(heardAgoMs: number, more: Partial<BrokerAnswer> = {}): BrokerAnswer {
  return {
    broker: parseDeviceId('broker-1'),
    connected: true,
    since: iso(3_600_000),
    changesBehind: 0,
    lagBytes: 0,
    lastReportAt: iso(60_000),
    sample: {
      at: iso(heardAgoMs),
      version: '1',
      startedAt: iso(3_600_000),
      connections: 7,
      sessions: 0,
      subscriptions: 0,
      retained: 0,
      queuedMessages: 0,
      queuedBytes: 0,
    },
    policy: null,
    ...more,
  } as BrokerAnswer;
}

test('a broker that reports has its connections in the status', (t) => {
  t.deepEqual(brokerCheck(broker(4000), nowMs), {
    name: 'broker broker-1',
    ok: true,
    detail: '7 connections, 0 changes behind',
  });
});

test('a broker that stopped confirming is reported within 10 s', (t) => {
  t.deepEqual(brokerCheck(broker(10_000, { changesBehind: 2 }), nowMs), {
    name: 'broker broker-1',
    ok: false,
    detail: 'has confirmed nothing for 10 s, 2 changes are open',
  });
});

test('a broker that left the feed is reported', (t) => {
  t.false(brokerCheck(broker(1000, { connected: false }), nowMs).ok);
});

test('a broker that has just connected again is not silent', (t) => {
  t.true(brokerCheck(broker(60_000, { since: iso(2000) }), nowMs).ok);
});
