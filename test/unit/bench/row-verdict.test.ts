import test from 'ava';
import type { LatencyResult } from '../../../bench/delivery.ts';
import { anchorOf, loadFault, rateFault } from '../../../bench/row-verdict.ts';

const good: LatencyResult = {
  deliveries: 20_000,
  deliveriesPerSecond: 20_000,
  cpuMicrosecondsPerDelivery: 10,
  coreMicrosecondsPerDelivery: 10,
  frontMicrosecondsPerDelivery: 0,
  brokerCpuPercent: 90,
  generatorCpuPercent: 40,
  missing: 0,
  ratePerSecond: 20_000,
  p50Ms: 1,
  p99Ms: 2,
  maxMs: 3,
};

test('a broker that loses messages or stalls is not compared', (t) => {
  t.is(loadFault(good), undefined);
  t.is(loadFault({ ...good, missing: 3 }), 'loses 3');
  t.is(loadFault({ ...good, brokerCpuPercent: 16 }), 'stalls');
  t.is(loadFault({ ...good, brokerCpuPercent: 16, generatorCpuPercent: 99 }), undefined);
  t.is(rateFault(good), undefined);
  t.is(rateFault({ ...good, brokerCpuPercent: 3 }), undefined, 'a low rate needs little CPU time');
  t.is(rateFault({ ...good, deliveriesPerSecond: 12_000 }), 'stalls');
});

test('the anchor is the best of the peers that did the work', (t) => {
  t.is(anchorOf([12, undefined, 8, NaN], false), 8);
  t.is(anchorOf([12, undefined, 8], true), 12);
  t.is(anchorOf([undefined], false), undefined);
});
