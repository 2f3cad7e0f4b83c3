import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { snapshotState } from '../../../../cli/backup/state-snapshot.ts';
import { tryBackup } from '../../../../cli/backup/backup-trial.ts';
import { systemClock } from '../../../../core/clock.ts';
import { parseDeviceId } from '../../../../core/device-id.ts';
import { silentLog } from '../../../../core/log.ts';
import { stateFolder } from '../../../../core/state-folder.ts';
import { AuditLog } from '../../../../enroll/audit/audit-log.ts';
import { newIdentity } from '../../../../enroll/registry/device-rows.ts';
import { openLowdbRegistry } from '../../../../enroll/registry/lowdb-registry.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

const copyStore = (): Promise<void> => Promise.resolve();

async function opened(t: ExecutionContext) {
  const folder = tempFolder(t);
  const state = stateFolder(join(folder, 'state'));
  mkdirSync(state.root);
  const audit = await AuditLog.open(state.enroll.audit, systemClock, { fileMaxBytes: 20_000 });
  const registry = await openLowdbRegistry(state.enroll.registry, {
    clock: systemClock,
    log: silentLog,
    sink: audit.sink,
  });
  const copies: string[] = [];
  return {
    state,
    registry,
    add: async (at: number): Promise<void> => {
      const id = parseDeviceId(`device-${at}`);
      const record = newIdentity({ id, role: 'device', createdAtMs: at });
      await registry.commit({
        puts: [{ table: 'devices', record, expected: 0 }],
        events: [{ action: 'device-changed', actor: 'test', device: id }],
      });
    },
    emptyFolder: (): string => {
      const target = join(folder, `copy-${copies.length}`);
      copies.push(target);
      mkdirSync(target);
      return target;
    },
    close: async (): Promise<void> => {
      await registry.close();
      await audit.close();
    },
  };
}

test('a checkpoint between the copies of audit log and registry makes the copy begin again', async (t) => {
  const { state, registry, add, emptyFolder, close } = await opened(t);
  await add(1);
  let calls = 0;
  const target = emptyFolder();
  await snapshotState(state, target, {
    ...{ withPassphrase: true, copyStore },
    async between() {
      if (++calls > 1) return;
      // Without a new copy, the line of this commit would be nowhere.
      await add(2);
      await registry.checkpoint();
    },
  });
  t.is(calls, 2);
  t.deepEqual(await tryBackup(stateFolder(target)), { identities: 2, auditLines: 2 });
  await close();
});

test('a copy that is made during commits and checkpoints opens, with everything that was durable before', async (t) => {
  const { state, registry, add, emptyFolder, close } = await opened(t);
  let durable = 0;
  const end = new AbortController();
  const writing = (async () => {
    for (let at = 0; !end.signal.aborted; at++) {
      await add(at);
      durable++;
      // Some copies begin during one of them, and one that ends meanwhile makes a copy begin again.
      if (at % 40 === 0) void registry.checkpoint();
    }
  })();
  for (let copy = 0; copy < 5; copy++) {
    const target = emptyFolder();
    const atLeast = durable;
    await snapshotState(state, target, {
      withPassphrase: true,
      copyStore: () => Promise.resolve(),
    });
    const { identities = 0, auditLines } = await tryBackup(stateFolder(target));
    t.true(identities >= atLeast, `${identities} of ${atLeast}`);
    t.is(auditLines, identities, 'each commit has its line');
  }
  end.abort();
  await writing;
  await close();
});
