/** A state folder that has lost the registry, the audit log, or both, does not start as a new one. @module */
import test, { type ExecutionContext } from 'ava';
import { cp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { checkConfig } from '../../core/config/config.ts';
import { silentLog } from '../../core/log.ts';
import { stateFolder, type StateFolder } from '../../core/state-folder.ts';
import { tailAudit, verifyAudit } from '../../enroll/audit/audit-reader.ts';
import { initialiseState, type StateDeps } from '../../enroll/bootstrap/state.ts';
import { readManifest } from '../../enroll/registry/manifest.ts';
import { tempFolder } from '../support/temp-folder.ts';

type Loss = StateDeps['acceptLoss'];

function initialise(state: StateFolder, acceptLoss?: Loss): ReturnType<typeof initialiseState> {
  const config = checkConfig({ enroll: { port: 0 } });
  return initialiseState(state, config, { log: silentLog, env: {}, acceptLoss });
}

async function copied(t: ExecutionContext, from: StateFolder): Promise<StateFolder> {
  const state = stateFolder(join(tempFolder(t), 'state'));
  await cp(from.root, state.root, { recursive: true, verbatimSymlinks: true });
  return state;
}

test('a state without its registry or its audit log starts only after the loss was accepted', async (t) => {
  const whole = stateFolder(join(tempFolder(t), 'state'));
  await initialise(whole);
  const losses: readonly (readonly [string, string, Loss, (state: StateFolder) => string[]])[] = [
    ['registry', 'registry-missing', 'registry', ({ enroll }) => [enroll.registry]],
    ['audit log', 'audit-missing', 'audit', ({ enroll }) => [enroll.audit]],
    ['both', 'registry-missing', 'registry', ({ enroll }) => [enroll.registry, enroll.audit]],
  ];
  for (const [what, code, accepted, lost] of losses) {
    const state = await copied(t, whole);
    for (const path of lost(state)) await rm(path, { recursive: true });
    await t.throwsAsync(initialise(state), { code }, what);
    // A start that failed changes nothing that a later one needs to notice the loss.
    await t.throwsAsync(initialise(state), { code }, `${what}, again`);
    await initialise(state, accepted);
    await t.notThrowsAsync(initialise(state), `${what}, accepted`);
    const noted = (await readManifest(state.enroll.registry))?.audit;
    t.true((await verifyAudit(state.enroll.audit, noted)).ok, what);
    const lines = await tailAudit(state.enroll.audit, 100);
    t.true(
      lines.some(({ action }) => action === 'loss-accepted'),
      what,
    );
  }
  t.deepEqual((await readdir(whole.enroll.folder)).sort(), ['audit', 'registry', 'tls']);
});
