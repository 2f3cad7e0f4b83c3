import test from 'ava';
import { machineUsage, parseCpuStat } from '../../../../device-sim/controller/machine-usage.ts';
import { isThisMachine } from '../../../../device-sim/controller/broker-process.ts';

test('busy time is everything but idle and waiting for disks, stolen time included', (t) => {
  const text =
    'cpu  100 20 30 4000 500 6 7 80 9 9\ncpu0 50 10 15 2000 250 3 3 40 4 4\ncpu1 50 10 15 2000 250 3 4 40 5 5\nintr 1 2 3\n';
  t.deepEqual(parseCpuStat(text), { cores: 2, busyMs: (100 + 20 + 30 + 6 + 7 + 80) * 10 });
  for (const broken of ['', 'cpu  a b c\ncpu0 1 2 3\n', 'cpu  1 2 3 4\n'])
    t.is(parseCpuStat(broken), undefined);
});

test('the usage of this machine grows', (t) => {
  const first = machineUsage();
  if (first === undefined) {
    t.log('this system has no /proc/stat');
    t.pass();
    return;
  }
  const second = machineUsage();
  t.true(second!.busyMs >= first.busyMs);
  t.true(second!.controllerMs > first.controllerMs);
  t.true(first.cores > 0);
});

test('only loopback names and addresses certainly mean this machine', (t) => {
  for (const host of ['localhost', '127.0.0.1', '127.1.2.3', '::1', '0.0.0.0'])
    t.true(isThisMachine(host), host);
  for (const host of ['localhost.example.com', '10.0.0.1', 'broker', '::2'])
    t.false(isThisMachine(host), host);
});
