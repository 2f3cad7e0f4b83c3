/**
 * The npm package as users get it: built, packed, installed with production dependencies only into an
 * empty folder, and run there. Further Node.js versions can be named in FLOTILLA_TEST_NODES (paths of
 * their binaries, separated like PATH); the suite itself runs on one.
 *
 * @module
 */
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { z } from 'zod';
import { runChild, spawnChild, type Child, type Finished } from '../support/child.ts';
import { anyPorts, type Ready } from '../support/cli.ts';
import { tempFolder } from '../support/temp-folder.ts';

const timeoutMs = 280_000;
const packedSchema = z
  .tuple([z.object({ filename: z.string(), size: z.int(), unpackedSize: z.int() })])
  .rest(z.unknown());
const nodes = [
  process.execPath,
  ...(process.env['FLOTILLA_TEST_NODES'] ?? '').split(delimiter).filter((path) => path !== ''),
];

let folder: string;
let unreachable: string | undefined;
let tarballBytes = 0;
let unpackedBytes = 0;
let installMessages = '';

test.before(async (t) => {
  t.timeout(timeoutMs);
  const teardown = { teardown: () => undefined };
  folder = await mkdtemp(join(tmpdir(), 'flotilla-package-'));
  // As on a machine without a compiler: the optional pkcs11js cannot be built.
  const env = { MAKE: '/nonexistent/make' };
  const npm = (...args: string[]): Promise<Finished> =>
    runChild(teardown, 'npm', args, { timeoutMs, env });
  const packed = await npm('pack', '--json', '--pack-destination', folder);
  if (packed.code !== 0) throw new Error(`npm pack: ${packed.stderr}`);
  const [{ filename, size, unpackedSize }] = packedSchema.parse(
    JSON.parse(packed.stdout.slice(packed.stdout.indexOf('[\n'))),
  );
  tarballBytes = size;
  unpackedBytes = unpackedSize;
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n');
  const installed = await npm(
    ...['install', '--prefix', folder, '--omit=dev', '--no-audit', '--no-fund'],
    ...['--prefer-offline', join(folder, filename)],
  );
  installMessages = installed.stdout + installed.stderr;
  if (installed.code === 0) return;
  if (!/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH|network/.test(installed.stderr)) {
    throw new Error(`npm install: ${installed.stderr}`);
  }
  unreachable = 'the npm registry cannot be reached';
});
test.after.always(() => rm(folder, { recursive: true, force: true }));

for (const node of nodes) {
  test.serial(`the installed command runs a fleet on ${node}`, async (t) => {
    if (!isInstalled(t)) return;
    t.timeout(timeoutMs);
    const state = join(folder, `state-${nodes.indexOf(node)}`);
    const up = start(t, node, ['up', '--devices', '5', '--json', '--state', state, ...anyPorts]);
    const ready = JSON.parse(await up.line(() => true)) as Ready;
    await up.errorLine((line) => line.includes('5/5 online'));
    const device = join(folder, `device-${nodes.indexOf(node)}`);
    const enrolled = await run(t, node, [
      ...['device', 'enroll', '--state', state, '--id', 'first', '--out', device, '--json'],
    ]);
    t.is(enrolled.code, 0, enrolled.stderr);
    t.regex(readFileSync(join(device, 'chain.pem'), 'utf8'), /BEGIN CERTIFICATE/);
    const simulated = await run(t, node, [
      ...['sim', 'run', '--state', state, '--devices', '5', '--duration', '2s', '--json'],
    ]);
    t.is(simulated.code, 0, simulated.stderr);
    const stopped = await up.stop();
    t.is(stopped.code, 0, stopped.stderr);
    t.notRegex(stopped.stderr, /Warning/, `${ready.state}: Node.js has nothing to warn about`);
  });
}

test('the package brings production dependencies only, is small, and needs no compiler', (t) => {
  if (!isInstalled(t)) return;
  const packages = installedPackages(join(folder, 'node_modules'));
  const installedMb = bytesOf(join(folder, 'node_modules')) / 1e6;
  t.log(
    `tarball ${(tarballBytes / 1e6).toFixed(1)} MB, unpacked ${(unpackedBytes / 1e6).toFixed(1)} MB; ` +
      `installed ${packages.length} packages, ${installedMb.toFixed(1)} MB`,
  );
  // docs/deployment.md has the sizes.
  t.true(tarballBytes < 2.5e6, `the tarball has ${tarballBytes} bytes`);
  t.true(unpackedBytes < 7e6, `unpacked it has ${unpackedBytes} bytes`);
  // A dozen small ones are the optional client of PostgreSQL, for `enroll.database`.
  t.true(packages.length <= 140, `${packages.length} packages`);
  t.true(installedMb < 50, `${installedMb} MB`);
  t.notRegex(installMessages, /warn|gyp|error/i, 'the installation is quiet');
  t.false(packages.includes('pkcs11js'), 'it is optional');
  t.false(packages.some((name) => /^(typescript|eslint|ava|node|prettier|knip)$/.test(name)));
  t.true(packages.includes('flotilla'));
  const files = readdirSync(join(folder, 'node_modules/flotilla'), {
    recursive: true,
    encoding: 'utf8',
  });
  t.false(files.some((file) => /(?<!\.d)\.ts$|\.test\.|\.pem$/.test(file)));
});

test('a program embeds enrollment and broker by their public names, with types', async (t) => {
  if (!isInstalled(t)) return;
  t.timeout(timeoutMs);
  writeFileSync(join(folder, 'embed.ts'), embedder);
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        ...{ module: 'nodenext', target: 'es2023', strict: true, skipLibCheck: true },
        ...{ types: ['node'], typeRoots: [resolve('node_modules/@types')] },
      },
      files: ['embed.ts'],
    }),
  );
  const compiled = await runChild(
    t,
    process.execPath,
    [resolve('node_modules/typescript7/bin/tsc'), '-p', folder],
    { timeoutMs },
  );
  t.is(compiled.code, 0, compiled.stdout);
  const done = await runChild(t, process.execPath, ['embed.js'], { cwd: folder, timeoutMs });
  t.is(done.code, 0, done.stderr);
  t.regex(done.stdout, /^listens on \d+, plug-in ready$/m);
});

test('an old Node.js gets one sentence and exit code 1', async (t) => {
  if (!isInstalled(t)) return;
  const launcher = readFileSync(join(folder, 'node_modules/flotilla/cli/flotilla.mjs'), 'utf8');
  // The same file, made to believe in an older Node.js: no old one is installed with the tests.
  const old = join(folder, 'node_modules/flotilla/cli/flotilla-old.mjs');
  writeFileSync(old, launcher.replace('process.versions.node.split', "'20.19.4'.split"));
  const done = await runChild(t, process.execPath, [old, 'status']);
  t.is(done.code, 1);
  t.regex(done.stderr, /^flotilla needs Node\.js 22\.13 or newer; this is v[\d.]+\.\n$/);
  t.is(done.stdout, '');
});

test('the version is printed without loading the program', async (t) => {
  const alone = tempFolder(t);
  mkdirSync(join(alone, 'cli'));
  copyFileSync('package.json', join(alone, 'package.json'));
  // Nothing but the launcher: whatever it imported would be missing.
  copyFileSync('cli/flotilla.mjs', join(alone, 'cli/flotilla.mjs'));
  const took: number[] = [];
  for (let attempt = 0; attempt < 5; attempt++) {
    const beganMs = performance.now();
    const done = await runChild(t, process.execPath, [
      join(alone, 'cli/flotilla.mjs'),
      '--version',
    ]);
    took.push(performance.now() - beganMs);
    t.regex(done.stdout, /^\d+\.\d+\.\d+\n$/, done.stderr);
  }
  // node:sqlite is experimental in Node.js 22 and 24.
  mkdirSync(join(alone, 'dist/cli'), { recursive: true });
  writeFileSync(
    join(alone, 'dist/cli/main.js'),
    `export const main = async () => {
      process.emitWarning('hidden', 'ExperimentalWarning');
      process.emitWarning('shown');
      return 0;
    };`,
  );
  const warned = await runChild(t, process.execPath, [join(alone, 'cli/flotilla.mjs'), 'status']);
  t.regex(warned.stderr, /shown/);
  t.notRegex(warned.stderr, /hidden/, 'its warning says nothing to users');
  t.log(`flotilla --version: ${took.map((ms) => ms.toFixed(0)).join(', ')} ms`);
});

const embedder = `
import { initialiseState, loadConfig, startEnroll, stateFolder, createLog, systemClock } from 'flotilla/enroll';
import { defaultPolicyText, startBroker, type Aedes, type BrokerService } from 'flotilla/broker';
import { quickPlan, type Plan } from 'flotilla/sim';
import { mkdirSync, writeFileSync } from 'node:fs';

const plan: Plan = quickPlan({ devices: 1, durationMs: 1000, ratePerSecond: 1, qos: 1 });
if (plan.fleet.length === 0) throw new Error('no fleet');
const state = stateFolder('embedded-state');
mkdirSync(state.root, { recursive: true, mode: 0o700 });
const log = createLog({ level: 'warn' });
const config = await loadConfig({
  flags: { enroll: { port: 0, metricsPort: 0 }, broker: { mqttsPort: 0, wssPort: 0, metricsPort: 0 } },
});
await initialiseState(state, config, { clock: systemClock, log });
writeFileSync(state.policy, defaultPolicyText);
const enroll = await startEnroll(config, { state, clock: systemClock, log });
const broker: BrokerService = await startBroker(config, {
  state, log, enrollUrl: enroll.addresses.https.url,
});
const aedes: Aedes = broker.aedes;
aedes.on('clientReady', ({ id }) => console.log(id));
aedes.authorizePublish = (client, packet, callback) => callback(null);
console.log(\`listens on \${broker.addresses.mqtts.port}, plug-in ready\`);
await broker.close();
await enroll.close();
`;

function isInstalled(t: ExecutionContext): boolean {
  if (unreachable === undefined) return true;
  if (process.env['FLOTILLA_TEST_NO_SKIP'])
    throw new Error(`${unreachable}; here nothing is skipped`);
  t.log(`SKIPPED ${t.title}: ${unreachable}`);
  t.pass();
  return false;
}

/** The launcher that npm linked, on a chosen Node.js. */
function start(t: ExecutionContext, node: string, args: readonly string[]): Child {
  const command = join(folder, 'node_modules/.bin/flotilla');
  return spawnChild(t, node, [command, ...args], { cwd: folder, timeoutMs });
}

function run(t: ExecutionContext, node: string, args: readonly string[]): Promise<Finished> {
  return start(t, node, args).finished;
}

function installedPackages(modules: string): string[] {
  const lock = z
    .object({ packages: z.record(z.string(), z.unknown()) })
    .parse(JSON.parse(readFileSync(join(modules, '.package-lock.json'), 'utf8')));
  return Object.keys(lock.packages).map((path) =>
    path.slice(path.lastIndexOf('node_modules/') + 13),
  );
}

function bytesOf(path: string): number {
  const entry = statSync(path, { throwIfNoEntry: false });
  if (entry === undefined) return 0;
  if (!entry.isDirectory()) return entry.size;
  return readdirSync(path).reduce((sum, name) => sum + bytesOf(join(path, name)), 0);
}
