/**
 * The manifests of deploy/kubernetes, checked without a cluster: against the types of the Kubernetes API,
 * for what must fit together inside them, and by running what they start.
 *
 * @module
 */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import test from 'ava';
import type { StatefulSet } from 'kubernetes-types/apps/v1.d.ts';
import type { Container, Service } from 'kubernetes-types/core/v1.d.ts';
import { parseAllDocuments } from 'yaml';
import type { Config } from '../../core/config/config.ts';
import { runChild } from '../support/child.ts';
import { flotilla } from '../support/cli.ts';
import { tempFolder } from '../support/temp-folder.ts';

const folder = 'deploy/kubernetes';

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
}

function manifestsOf(file: string): Manifest[] {
  const documents = parseAllDocuments(readFileSync(join(folder, file), 'utf8'));
  return [...documents].map((document) => {
    const [fault] = document.errors;
    if (fault !== undefined) throw new Error(`${file}: ${fault.message}`);
    return document.toJS() as Manifest;
  });
}

const files = readdirSync(folder);
const manifests = files.flatMap(manifestsOf);
const sets = manifests.filter(({ kind }) => kind === 'StatefulSet') as unknown as StatefulSet[];
const services = manifests.filter(({ kind }) => kind === 'Service') as unknown as Service[];

function podOf(set: StatefulSet): {
  readonly labels: Readonly<Record<string, string>>;
  readonly containers: readonly Container[];
  readonly volumes: readonly string[];
} {
  const { template, volumeClaimTemplates = [] } = set.spec ?? {};
  const { containers = [], initContainers = [], volumes = [] } = template?.spec ?? {};
  return {
    labels: template?.metadata?.labels ?? {},
    containers: [...initContainers, ...containers],
    volumes: [
      ...volumes.map(({ name }) => name),
      ...volumeClaimTemplates.map(({ metadata }) => metadata?.name ?? ''),
    ],
  };
}

test('the types of the Kubernetes API accept every manifest, and know every field', async (t) => {
  t.deepEqual(files.sort(), ['broker.yaml', 'enrollment.yaml', 'flotilla.yaml']);
  const check = async (documents: readonly Manifest[]): Promise<string> => {
    const work = tempFolder(t);
    const lines = documents.map(({ apiVersion, kind, ...rest }, at) => {
      const group = apiVersion.includes('/') ? apiVersion : `core/${apiVersion}`;
      const from = group.replace('.k8s.io', '');
      return `import type { ${kind} as T${at} } from 'kubernetes-types/${from}';\nexport const d${at}: T${at} = ${JSON.stringify({ apiVersion, kind, ...rest })};`;
    });
    writeFileSync(join(work, 'manifests.ts'), lines.join('\n'));
    writeFileSync(
      join(work, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          ...{ strict: true, noEmit: true, types: [], skipLibCheck: true },
          ...{ module: 'esnext', moduleResolution: 'bundler' },
          paths: { 'kubernetes-types/*': [resolve('node_modules/kubernetes-types/*')] },
        },
        files: ['manifests.ts'],
      }),
    );
    const compiler = resolve('node_modules/typescript7/bin/tsc');
    const done = await runChild(t, process.execPath, [compiler, '-p', work], {
      timeoutMs: 120_000,
    });
    return done.stdout;
  };
  t.is(await check(manifests), '');
  const wrong = JSON.parse(
    JSON.stringify(sets[0]).replace('"readinessProbe"', '"readynessProbe"'),
  ) as Manifest;
  t.regex(await check([wrong]), /readynessProbe/, 'a misspelled field is found');
});

test('services find the pods and their ports, and probes name ports', (t) => {
  for (const { metadata, spec } of services) {
    const set = sets.find(
      (one) => JSON.stringify(podOf(one).labels) === JSON.stringify(spec?.selector),
    );
    const name = metadata?.name ?? '';
    if (set === undefined) {
      t.fail(name);
      continue;
    }
    const ports = podOf(set).containers.flatMap((container) => container.ports ?? []);
    for (const { targetPort, port } of spec?.ports ?? []) {
      const found = ports.find((one) => one.name === targetPort);
      t.is(found?.containerPort, port, `${name} ${String(targetPort)}`);
    }
  }
  for (const set of sets) {
    t.deepEqual(set.spec?.selector.matchLabels, podOf(set).labels);
    t.is(set.spec?.replicas, 1, 'one process holds the state folder');
    t.true(services.some(({ metadata }) => metadata?.name === set.spec?.serviceName));
    for (const container of set.spec?.template.spec?.containers ?? []) {
      for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe'] as const) {
        const port = container[probe]?.httpGet?.port;
        t.true(
          container.ports?.some(({ name }) => name === port),
          `${container.name} ${probe}`,
        );
      }
    }
  }
});

test('the pods are confined, and every mount has its volume', (t) => {
  for (const set of sets) {
    const spec = set.spec?.template.spec;
    t.like(spec, { enableServiceLinks: false, automountServiceAccountToken: false });
    t.like(spec?.securityContext, {
      runAsNonRoot: true,
      fsGroupChangePolicy: 'OnRootMismatch',
      seccompProfile: { type: 'RuntimeDefault' },
    });
    for (const volume of spec?.volumes ?? []) {
      if (volume.secret !== undefined) t.is(volume.secret.defaultMode, 0o440, volume.name);
    }
    const { containers, volumes } = podOf(set);
    for (const container of containers) {
      t.like(container.securityContext, {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
      for (const mount of container.volumeMounts ?? []) {
        t.true(volumes.includes(mount.name), `${container.name} ${mount.name}`);
      }
    }
  }
});

test('the command line has what the pods run, and listens on their ports with their settings', async (t) => {
  for (const set of sets) {
    for (const { args = [], env = [], ports = [], name } of set.spec?.template.spec?.containers ??
      []) {
      const settings = Object.fromEntries(env.map((one) => [one.name, one.value ?? '']));
      const done = await flotilla([...args, '--print-config', '--json'], {
        ...settings,
        FLOTILLA_STATE: tempFolder(t),
      });
      t.is(done.code, 0, `${name}: ${done.stderr}`);
      const printed = done.json() as Config;
      const byName: Readonly<Record<string, number>> = {
        mqtts: printed.broker.mqttsPort,
        wss: printed.broker.wssPort,
        https: printed.enroll.port,
        metrics: args[0] === 'enroll' ? printed.enroll.metricsPort : printed.broker.metricsPort,
      };
      for (const port of ports) t.is(byName[port.name ?? ''], port.containerPort, port.name);
      t.is(printed.host, '0.0.0.0');
    }
  }
});

test('the broker starts with a copy of the identity in the Secret, once', async (t) => {
  const [init] = sets.flatMap((set) => set.spec?.template.spec?.initContainers ?? []);
  const script = init?.command?.at(-1) ?? '';
  const work = tempFolder(t);
  const secret = join(work, 'secret');
  mkdirSync(secret);
  for (const name of ['key', 'cert', 'chain', 'ca']) {
    writeFileSync(join(secret, `${name}.pem`), `${name} one`, { mode: 0o440 });
  }
  const run = async (): Promise<void> => {
    const done = await runChild(
      t,
      '/bin/sh',
      ['-euc', script.replaceAll('/run/secrets/flotilla', secret)],
      {
        env: { FLOTILLA_STATE: join(work, 'state') },
      },
    );
    t.is(done.code, 0, done.stderr);
  };
  await run();
  const copy = (name: string): string => join(work, 'state/broker/identity', `${name}.pem`);
  t.is(readFileSync(copy('chain'), 'utf8'), 'chain one');
  t.is(statSync(copy('key')).mode & 0o777, 0o600);
  t.is(statSync(join(work, 'state')).mode & 0o777, 0o700);
  writeFileSync(copy('cert'), 'renewed');
  await run();
  t.is(readFileSync(copy('cert'), 'utf8'), 'renewed');
});
