/**
 * A complete Flotilla in the test's process as a target of the simulator: enrollment service and broker
 * on free ports.
 *
 * @module
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { defaultPolicyText } from '../../core/policy/default-policy.ts';
import { startBroker } from '../../broker/broker-service.ts';
import { createCsr } from '../../certs/csr.ts';
import { generateKey, privateKeyPem } from '../../certs/key.ts';
import { makeSecretFolder } from '../../core/atomic-file.ts';
import { systemClock } from '../../core/clock.ts';
import { checkConfig } from '../../core/config/config.ts';
import { issuedSchema } from '../../core/protocol/enrollment-api.ts';
import { callJson } from '../../core/protocol/https-client.ts';
import { silentLog } from '../../core/log.ts';
import { identityFiles, stateFolder } from '../../core/state-folder.ts';
import type { FlotillaTarget } from '../../device-sim/fleet/target.ts';
import { startEnroll } from '../../enroll/enroll-service.ts';
import { initialiseState } from '../../enroll/bootstrap/state.ts';
import { tempFolder } from './temp-folder.ts';

/** Starts both services; they are closed at the end of the test. */
export async function simFlotilla(
  t: Pick<ExecutionContext, 'teardown'>,
): Promise<FlotillaTarget & { readonly keepFolder: string }> {
  const state = stateFolder(join(tempFolder(t), 'state'));
  const config = checkConfig({
    enroll: { port: 0, metricsPort: 0 },
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

/** Starts another broker that follows the feed of a Flotilla, with its own state folder and certificate. */
export async function furtherBroker(
  t: Pick<ExecutionContext, 'teardown'>,
  { enrollUrl, ca, admin }: FlotillaTarget,
  name: string,
): Promise<{ mqtts: FlotillaTarget['mqtts']; metricsUrl: string }> {
  const state = stateFolder(join(tempFolder(t), 'state'));
  const files = identityFiles(state.broker.identity);
  const key = await generateKey('p256');
  const names = ['localhost', '127.0.0.1'];
  const issued = await callJson(
    {
      method: 'POST',
      url: new URL('/v1/services', enrollUrl).href,
      ca,
      ...admin,
      body: { name, role: 'broker', csr: createCsr({ key, commonName: name }).pem, names },
    },
    issuedSchema,
  );
  await makeSecretFolder(state.root);
  await mkdir(state.broker.identity, { recursive: true });
  await writeFile(files.key, privateKeyPem(key), { mode: 0o600 });
  await writeFile(files.cert, issued.certificate);
  await writeFile(files.chain, issued.chain);
  await writeFile(files.ca, ca);
  await writeFile(state.policy, defaultPolicyText);
  const config = checkConfig({
    broker: { mqttsPort: 0, wssPort: 0, metricsPort: 0, store: 'memory' },
  });
  const broker = await startBroker(config, {
    state,
    clock: systemClock,
    log: silentLog,
    enrollUrl,
  });
  t.teardown(broker.close);
  return { mqtts: broker.addresses.mqtts, metricsUrl: broker.addresses.metrics.url };
}
