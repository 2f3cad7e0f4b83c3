import test, { type ExecutionContext } from 'ava';
import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readCertificate } from '../../certs/certificate.ts';
import { checkConfig } from '../../core/config/config.ts';
import { stateFolder, type StateFolder } from '../../core/state-folder.ts';
import { initialiseState } from '../../enroll/bootstrap/state.ts';
import { activateIssuer, createIssuer, issuerFolder } from '../../enroll/ca/ca-folder.ts';
import { systemClock } from '../../core/clock.ts';
import { releasedAtMs } from '../../core/package-version.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { captureLog } from '../support/log-capture.ts';
import { tempFolder } from '../support/temp-folder.ts';

const config = checkConfig({ enroll: { port: 0 } });

async function madeState(t: ExecutionContext): Promise<StateFolder> {
  const state = stateFolder(join(tempFolder(t), 'state'));
  await initialise(state);
  return state;
}

function initialise(state: StateFolder): ReturnType<typeof initialiseState> {
  return initialiseState(state, config, { log: captureLog().log, env: {} });
}

/** Every file of the CA with its content. */
async function caFiles({ ca }: StateFolder): Promise<Map<string, string>> {
  const names = await readdir(ca.folder, { recursive: true, withFileTypes: true });
  const paths = names.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name));
  return new Map(
    await Promise.all(paths.map(async (path) => [path, await readFile(path, 'utf8')] as const)),
  );
}

test('a start never replaces a root, an issuer or a key when a file of the CA is missing', async (t) => {
  const whole = await madeState(t);
  const lost: readonly (readonly [string, (state: StateFolder) => Promise<void>])[] = [
    ['root.pem', ({ ca }) => rm(ca.rootCert)],
    ['issuer.pem', ({ ca }) => rm(ca.issuerCert)],
    [
      'root.pem and its key',
      async ({ ca }) => {
        await rm(ca.rootCert);
        await rm(ca.rootKey);
      },
    ],
    [
      'root.pem and the issuers',
      async ({ ca }) => {
        await rm(ca.rootCert);
        await rm(ca.issuerCert);
        await rm(ca.issuerKey);
        await rm(join(ca.folder, 'issuers'), { recursive: true });
      },
    ],
    [
      'all but the root key, and the registry',
      async ({ ca, enroll }) => {
        await rm(ca.rootCert);
        await rm(ca.issuerCert);
        await rm(ca.issuerKey);
        await rm(join(ca.folder, 'issuers'), { recursive: true });
        await rm(enroll.folder, { recursive: true });
      },
    ],
    ['the whole CA', ({ ca }) => rm(ca.folder, { recursive: true })],
  ];
  for (const [what, lose] of lost) {
    const state = stateFolder(join(tempFolder(t), 'state'));
    await cp(whole.root, state.root, { recursive: true, verbatimSymlinks: true });
    await lose(state);
    await mkdir(state.ca.folder, { recursive: true });
    const before = await caFiles(state);
    const error = await t.throwsAsync(initialise(state), { code: 'ca-missing' }, what);
    t.regex(error.message, /root\.pem|issuer\.pem/, what);
    t.deepEqual(await caFiles(state), before, what);
  }
});

test('a creation of the CA that was interrupted is completed with the keys that it wrote', async (t) => {
  const state = await madeState(t);
  const key = await readFile(state.ca.rootKey, 'utf8');
  await rm(state.ca.rootCert);
  await rm(state.ca.issuerCert);
  await rm(state.enroll.folder, { recursive: true });
  await rm(state.admin, { recursive: true });
  await rm(state.broker.folder, { recursive: true });
  await writeFile(join(state.ca.folder, '.creating'), '');
  await initialise(state);
  t.is(await readFile(state.ca.rootKey, 'utf8'), key);
  await t.throwsAsync(readFile(join(state.ca.folder, '.creating')), { code: 'ENOENT' });
});

test('issuers that another root has signed stop the start', async (t) => {
  const state = await madeState(t);
  const other = await madeState(t);
  const root = await readFile(state.ca.rootCert, 'utf8');
  await cp(other.ca.rootCert, state.ca.rootCert);
  await t.throwsAsync(initialise(state), { code: 'ca-chain-broken' });
  await writeFile(state.ca.rootCert, root);
  await t.notThrowsAsync(initialise(state));
});

test('a current issuer that an operator supplied is kept when another one is activated', async (t) => {
  const state = await madeState(t);
  const { fingerprint } = readCertificate(await readFile(state.ca.issuerCert, 'utf8'));
  const kept = issuerFolder(state, fingerprint);
  await rename(kept, join(state.root, 'moved'));
  const passphrase = (await readFile(state.ca.passphrase, 'utf8')).trim();
  const made = await createIssuer(state, passphrase, { clock: systemClock });
  await activateIssuer(state, made.fingerprint);
  t.is(
    await readFile(join(kept, 'cert.pem'), 'utf8'),
    await readFile(join(state.root, 'moved', 'cert.pem'), 'utf8'),
  );
  await t.notThrowsAsync(initialise(state));
});

test('no CA is created while the clock is before the release of the software, and the next start creates one', async (t) => {
  const state = stateFolder(join(tempFolder(t), 'state'));
  const deps = { log: captureLog().log, env: {} };
  await t.throwsAsync(initialiseState(state, config, { ...deps, clock: fakeClock(0) }), {
    code: 'clock-before-release',
  });
  await t.throwsAsync(readFile(state.ca.rootKey), { code: 'ENOENT' });
  t.true(releasedAtMs > 0);
  const { created } = await initialiseState(state, config, { ...deps, clock: fakeClock() });
  t.true(created);
});
