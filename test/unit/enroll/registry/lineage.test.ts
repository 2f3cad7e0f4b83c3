import test from 'ava';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { KnownGeneration } from '../../../../core/protocol/generation.ts';
import { textFile } from '../../../../core/stored-text.ts';
import {
  divergedSinceMs,
  isContinued,
  Lineage,
  lineageFile,
  type RegistryHistory,
} from '../../../../enroll/registry/lineage.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

const history: RegistryHistory = {
  format: 1,
  registry: 'r',
  runs: [
    { run: 'one', from: 0, startedAtMs: 1000 },
    { run: 'two', from: 90, startedAtMs: 2000 },
    { run: 'four', from: 100, startedAtMs: 4000 },
  ],
  settled: [],
};
const known = (
  run: string,
  commit: number,
  startedAtMs: number,
  registry = 'r',
): KnownGeneration => ({
  ...{ registry, run, commit, startedAtMs },
});

test('a broker that knows an earlier or the newest state of this registry is not ahead', (t) => {
  for (const one of [known('one', 90, 1000), known('two', 100, 2000), known('four', 170, 4000)]) {
    t.is(divergedSinceMs(history, one), undefined);
  }
});

test('the registry continues what a broker has if nothing of it was lost since, whatever an operator has decided', (t) => {
  const all = { ...history, settled: [known('two', 200, 2000)] };
  for (const one of [known('one', 90, 1000), known('two', 100, 2000), known('four', 170, 4000)]) {
    t.true(isContinued(all, one));
  }
  t.is(divergedSinceMs(all, known('two', 101, 2000)), undefined);
  t.false(isContinued(all, known('two', 101, 2000)), 'commit 101 is another one now');
  t.false(isContinued(all, known('three', 95, 3000)), 'a run that is not in the history');
  t.false(isContinued(all, known('one', 90, 1000, 'other')));
});

test('a broker is ahead if its run went on after the backup, if it knows a run that is not there, or another registry', (t) => {
  t.is(divergedSinceMs(history, known('two', 101, 2000)), 4000, 'although commits count on');
  t.is(divergedSinceMs(history, known('three', 95, 3000)), 4000);
  t.is(divergedSinceMs(history, known('one', 10, 1000, 'other')), 2000);
  t.is(divergedSinceMs(history, known('late', 10, 9000, 'other')), 4000, 'a clock that was ahead');
});

test('what an operator has decided is settled, and later commits of the same run are not', (t) => {
  const settled = { ...history, settled: [known('three', 150, 3000)] };
  t.is(divergedSinceMs(settled, known('three', 150, 3000)), undefined);
  t.is(divergedSinceMs(settled, known('three', 151, 3000)), 4000);
});

test('each start adds a run, whatever the clock says, and lost commits are known until they are settled', async (t) => {
  const folder = tempFolder(t);
  const first = await Lineage.begin(textFile(join(folder, lineageFile)), {
    from: 5,
    audited: 5,
    nowMs: 1000,
  });
  t.is(first.lostCommits, undefined);
  const second = await Lineage.begin(textFile(join(folder, lineageFile)), {
    from: 7,
    audited: 9,
    nowMs: 500,
  });
  t.is(second.registry, first.registry);
  t.not(second.current.run, first.current.run);
  t.is(second.current.startedAtMs, 1001);
  const { registry, current } = first;
  const { run, startedAtMs } = current;
  t.is(second.divergedSinceMs({ registry, run, startedAtMs, commit: 9 }), 1001);
  t.deepEqual(second.lostCommits, { from: 7, to: 9 });
  await second.settle([{ registry, run, startedAtMs, commit: 9 }]);
  await second.settleAudit();
  const third = await Lineage.begin(textFile(join(folder, lineageFile)), {
    from: 20,
    audited: 20,
    nowMs: 2000,
  });
  t.is(third.lostCommits, undefined);
  t.is(third.divergedSinceMs({ registry, run, startedAtMs, commit: 9 }), undefined);
  writeFileSync(join(folder, 'lineage.json'), '{"format":1');
  await t.throwsAsync(
    Lineage.begin(textFile(join(folder, lineageFile)), { from: 1, audited: 1, nowMs: 1 }),
    {
      code: 'registry-damaged',
    },
  );
});
