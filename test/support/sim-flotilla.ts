/**
 * A whole Flotilla in the test's own process, as the simulator meets it: enrollment and broker on
 * free ports, and what `--state` would find.
 *
 * @module
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { defaultPolicyText } from '../../broker/policy/default-policy.ts';
import { startBroker } from '../../broker/service.ts';
import { makeSecretFolder } from '../../core/atomic-file.ts';
import { systemClock } from '../../core/clock.ts';
import { checkConfig } from '../../core/config.ts';
import { silentLog } from '../../core/log.ts';
import { identityFiles, stateFolder } from '../../core/state-folder.ts';
import type { FlotillaTarget } from '../../device-sim/target.ts';
import { startEnroll } from '../../enroll/service.ts';
import { initialiseState } from '../../enroll/state.ts';
import { tempFolder } from './temp-folder.ts';

/** Starts both services; they are closed with the test. */
export async function simFlotilla(
  t: Pick<ExecutionContext, 'teardown'>,
): Promise<Required<FlotillaTarget>> {
  const state = stateFolder(join(tempFolder(t), 'state'));
  const config = checkConfig({
    enroll: { port: 0 },
    broker: { mqttsPort: 0, wssPort: 0, metricsPort: 0, store: 'memory' },
  });
  const deps = { state, clock: systemClock, log: silentLog };
  const env = { FLOTILLA_CA_PASSPHRASE: undefined };
  await makeSecretFolder(state.root);
  await initialiseState(state, config, { clock: systemClock, log: silentLog, env });
  await writeFile(state.policy, defaultPolicyText);
  const enroll = await startEnroll(config, { ...deps, env });
  t.teardown(enroll.close);
  const enrollUrl = enroll.addresses.https.url;
  const broker = await startBroker(config, { ...deps, enrollUrl });
  t.teardown(broker.close);
  const files = identityFiles(state.admin);
  return {
    enrollUrl,
    mqtts: broker.addresses.mqtts,
    ca: await readFile(files.ca, 'utf8'),
    admin: { cert: await readFile(files.chain, 'utf8'), key: await readFile(files.key, 'utf8') },
    keepFolder: state.sim,
  };
}
