/**
 * The container image without a container engine: the Containerfile is checked line by line, and its
 * entrypoint runs as process 1 of a PID namespace, as another user, on a read-only root file system.
 *
 * @module
 */
import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { parse } from 'yaml';
import { z } from 'zod';
import { loadConfig } from '../../core/config/config.ts';
import { runChild, spawnChild, type Child } from '../support/child.ts';
import { anyPorts, flotillaPath } from '../support/cli.ts';
import { debianTool } from '../support/debian-tool.ts';
import { until } from '../support/until.ts';

const containerfile = readFileSync('deploy/Containerfile', 'utf8');

interface Instruction {
  readonly name: string;
  readonly value: string;
}

/** The instructions of each stage. */
function stages(): Instruction[][] {
  const lines = containerfile
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .replaceAll('\\\n', ' ')
    .split('\n')
    .filter((line) => line.trim() !== '');
  const found: Instruction[][] = [];
  for (const line of lines) {
    const [, name = '', value = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    if (name === 'FROM') found.push([]);
    found.at(-1)?.push({ name, value });
  }
  return found;
}

const valuesOf = (stage: readonly Instruction[], name: string): string[] =>
  stage.filter((one) => one.name === name).map(({ value }) => value);

test('the image has fixed bases, another user than root, and the ports of the services', async (t) => {
  const all = stages();
  t.is(all.length, 2);
  const known = /^(FROM|WORKDIR|COPY|RUN|ENV|USER|VOLUME|EXPOSE|STOPSIGNAL|ENTRYPOINT|CMD)$/;
  for (const stage of all) {
    for (const { name } of stage) t.regex(name, known);
    for (const from of valuesOf(stage, 'FROM')) {
      t.regex(from, /^docker\.io\/library\/node:24-[a-z]+-slim( AS \w+)?$/);
    }
  }
  const last = all.at(-1) ?? [];
  t.deepEqual(valuesOf(last, 'USER'), ['10001:10001']);
  t.deepEqual(valuesOf(last, 'COPY'), ['--from=build /app /app'], 'no source enters the image');
  const { broker, enroll } = await loadConfig();
  const ports = [broker.mqttsPort, broker.wssPort, enroll.port, broker.metricsPort];
  t.deepEqual(valuesOf(last, 'EXPOSE'), [ports.join(' ')]);
  for (const name of ['ENTRYPOINT', 'CMD']) {
    t.notThrows(() => JSON.parse(valuesOf(last, name)[0] ?? '') as unknown, `${name}: no shell`);
  }
  const volume = valuesOf(last, 'VOLUME')[0] ?? 'none';
  t.true(valuesOf(last, 'ENV')[0]?.includes(`FLOTILLA_STATE=${volume}`));
});

test('the build context has what the build reads, and no keys or state', (t) => {
  const rules = readFileSync('.dockerignore', 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  const isSent = (path: string): boolean => {
    let sent = true;
    for (const rule of rules) {
      const pattern = ignorePattern(rule.replace(/^!/, ''));
      const parts = path.split('/');
      const hits = parts.some((_, at) => pattern.test(parts.slice(0, at + 1).join('/')));
      if (hits) sent = rule.startsWith('!');
    }
    return sent;
  };
  const build = parse(readFileSync('tsconfig.build.json', 'utf8')) as { include: string[] };
  const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as { files: string[] };
  const read = [
    ...build.include.map((folder) => `${folder}/x.ts`),
    ...manifest.files.filter((file) => file !== 'dist' && existsSync(file)),
    ...['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json'],
    'tools/build-package.ts',
  ];
  for (const path of read) t.true(isSent(path), path);
  for (const path of [
    ...['.flotilla/ca/root.key.pem', '.git/config', 'node_modules/aedes/aedes.js', 'dist/x.js'],
    ...['examples/key.pem', 'cli/.flotilla/x', 'first-device/key.pem', '.env'],
  ]) {
    t.false(isSent(path), path);
  }
});

/** A rule of .dockerignore: `*` within a name, also of a hidden file, `**` over folders. */
function ignorePattern(rule: string): RegExp {
  const parts = rule.split('/').map((part) => {
    if (part === '**') return '(?:.+/)?';
    return `${part.replaceAll('.', String.raw`\.`).replaceAll('*', '[^/]*')}/`;
  });
  return new RegExp(`^${parts.join('').replace(/\/$/, '')}$`);
}

test('the compose file runs the image confined, with the ports of the services', async (t) => {
  const compose = z
    .strictObject({
      services: z.strictObject({
        flotilla: z.strictObject({
          image: z.string(),
          build: z.strictObject({
            context: z.literal('..'),
            dockerfile: z.literal('deploy/Containerfile'),
          }),
          restart: z.literal('unless-stopped'),
          read_only: z.literal(true),
          cap_drop: z.tuple([z.literal('ALL')]),
          security_opt: z.tuple([z.literal('no-new-privileges:true')]),
          tmpfs: z.array(z.string()),
          volumes: z.array(z.string()),
          environment: z.record(z.string(), z.string()),
          ports: z.array(z.string().regex(/^\d+:\d+$/)),
          ulimits: z.strictObject({ nofile: z.int() }),
          stop_grace_period: z.string(),
          healthcheck: z.strictObject({
            test: z.array(z.string()),
            ...{ interval: z.string(), timeout: z.string(), start_period: z.string() },
            retries: z.int(),
          }),
        }),
      }),
      volumes: z.strictObject({ state: z.null() }),
    })
    .parse(parse(readFileSync('deploy/compose.yaml', 'utf8')));
  const { environment, ports, ulimits } = compose.services.flotilla;
  const config = await loadConfig({ env: environment });
  t.deepEqual(
    ports.map((port) => Number(port.split(':')[1])),
    [config.broker.mqttsPort, config.broker.wssPort, config.enroll.port],
  );
  t.true(ulimits.nofile > config.limits.broker.connectionsMax);
});

/** Makes the root file system read-only but for one folder, then becomes another user. */
const confine = `set -eu
mount --make-rprivate /
mount --bind "$1" "$1"
mount -o remount,bind,ro /
umask 077
shift
exec setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs --bounding-set=-all "$@"
`;

interface Confined {
  readonly child: Child;
  /** Process 1 of the namespace, as this namespace numbers it. */
  readonly init: number;
  /** The process of Node.js. */
  readonly node: () => number;
}

async function startConfined(
  t: ExecutionContext,
  entrypoint: readonly string[],
): Promise<Confined | undefined> {
  const unshare = debianTool(t, 'unshare');
  if (unshare === undefined) return undefined;
  const volume = await mkdtemp(join(tmpdir(), 'flotilla-volume-'));
  t.teardown(() => rm(volume, { recursive: true, force: true }));
  mkdirSync(join(volume, 'state'));
  chmodSync(volume, 0o777);
  chmodSync(join(volume, 'state'), 0o777);
  const namespace = ['--mount', '--pid', '--fork', '--mount-proc', '--kill-child'];
  const probe = await runChild(t, unshare, [
    ...[...namespace, '/bin/sh', '-c', confine, 'sh', volume],
    ...[process.execPath, '--version'],
  ]);
  if (probe.code !== 0) {
    // Making namespaces needs root, and the other user must be able to read this checkout.
    if (process.env['FLOTILLA_TEST_NO_SKIP'] && process.getuid?.() === 0)
      throw new Error(probe.stderr);
    t.log(`SKIPPED ${t.title}: ${probe.stderr.trim()}`);
    t.pass();
    return undefined;
  }
  const child = spawnChild(
    t,
    unshare,
    [
      ...[...namespace, '/bin/sh', '-c', confine, 'sh', volume, ...entrypoint],
      ...[process.execPath, flotillaPath, 'up', '--json', '--state', join(volume, 'state/fleet')],
      ...anyPorts,
    ],
    {
      timeoutMs: 200_000,
      env: {
        FLOTILLA_SERVICE_HOST: '10.96.12.3',
        FLOTILLA_PORT: 'tcp://10.96.12.3:8883',
        FLOTILLA_PORT_8883_TCP_ADDR: '10.96.12.3',
        HOME: '/nonexistent',
      },
    },
  );
  t.regex(await child.line(() => true, 100_000), /"event":"ready"/);
  const [init = 0] = childrenOf(child.pid);
  return { child, init, node: () => (entrypoint.length === 0 ? init : (childrenOf(init)[0] ?? 0)) };
}

function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}

for (const [name, entrypoint] of [
  ['tini as in the image', ['tini', '--']],
  ['Node.js itself', []],
] as const) {
  test.serial(`process 1 is ${name}: SIGTERM stops the service with code 0`, async (t) => {
    t.timeout(240_000);
    if (entrypoint.length > 0 && debianTool(t, 'tini') === undefined) return;
    const confined = await startConfined(t, entrypoint);
    if (confined === undefined) return;
    const { child, init, node } = confined;
    const status = readFileSync(`/proc/${node()}/status`, 'utf8');
    t.regex(status, /^Uid:\t10001\t10001\t10001\t10001$/m);
    t.regex(status, /^CapEff:\t0+$/m);
    t.regex(status, /^NSpid:\t\d+\t\d+$/m);
    process.kill(init, 'SIGTERM');
    const done = await child.finished;
    t.is(done.code, 0, done.stderr);
  });
}

test.serial(
  'a killed service ends the container with 137, and tini collects lost processes',
  async (t) => {
    t.timeout(240_000);
    const nsenter = debianTool(t, 'nsenter');
    if (nsenter === undefined || debianTool(t, 'tini') === undefined) return;
    const confined = await startConfined(t, ['tini', '--']);
    if (confined === undefined) return;
    const { child, init, node } = confined;
    const service = node();
    // As "kubectl exec" does; the inner process loses its parent and ends later.
    const entered = await runChild(t, nsenter, [
      ...[
        '--target',
        String(init),
        '--pid',
        '--mount',
        '/bin/sh',
        '-c',
        '(sleep 0.2 & sleep 0.3 &)',
      ],
    ]);
    t.is(entered.code, 0, entered.stderr);
    await until('only the service is left', () => childrenOf(init).join() === String(service));
    process.kill(service, 'SIGKILL');
    t.is((await child.finished).code, 137);
  },
);
