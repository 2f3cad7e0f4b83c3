/**
 * The import rules report one planted violation of each rule, and fail when they found no modules.
 *
 * @module
 */
import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { spawnNode, type Finished } from '../../support/child.ts';
import { tempFolder } from '../../support/temp-folder.ts';

const folders = ['core', 'certs', 'enroll', 'broker', 'device-sim', 'cli', 'embed', 'console'];

/** A project of the same layout that contains `files`. */
function project(t: ExecutionContext, files: Readonly<Record<string, string>>): string {
  const folder = tempFolder(t);
  for (const name of ['.dependency-cruiser.cjs', 'tsconfig.json', 'package.json']) {
    copyFileSync(name, join(folder, name));
  }
  symlinkSync(resolve('node_modules'), join(folder, 'node_modules'));
  for (const name of [...folders, 'enroll/registry', 'test', 'tools', 'bench']) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

/** A chain of modules within the rules, more than the minimum that the check needs. */
function validModules(): Record<string, string> {
  const files: Record<string, string> = {
    'core/a.ts': 'export const a = 1;\n',
    'certs/a.ts': "import { a } from '../core/a.ts';\nexport const b = a;\n",
    'broker/a.ts': "import { b } from '../certs/a.ts';\nexport const c = b;\n",
    'cli/a.ts': "import { c } from '../broker/a.ts';\nexport const d = c;\n",
  };
  for (let at = 0; at < 25; at++) {
    files[`core/m${at}.ts`] = "import { a } from './a.ts';\nexport const m = a;\n";
  }
  return files;
}

function check(t: ExecutionContext, folder: string): Promise<Finished> {
  return spawnNode(t, [resolve('tools/import-rules.ts')], { cwd: folder }).finished;
}

const broken: Readonly<Record<string, readonly [path: string, text: string]>> = {
  'core-imports-nothing-above': ['core/up.ts', "import '../certs/a.ts';\n"],
  'certs-imports-core-only': ['certs/up.ts', "import '../broker/a.ts';\n"],
  'broker-imports-downwards-only': ['broker/side.ts', "import '../device-sim/a.ts';\n"],
  'enroll-imports-downwards-only': ['enroll/side.ts', "import '../broker/a.ts';\n"],
  'device-sim-imports-downwards-only': ['device-sim/up.ts', "import '../cli/a.ts';\n"],
  'nothing-imports-embed': ['cli/embed.ts', "import '../embed/a.ts';\n"],
  'nothing-imports-tests': ['cli/tests.ts', "import '../test/a.ts';\n"],
  resolvable: ['core/lost.ts', "import './nowhere.ts';\n"],
  'no-cycles': ['core/one.ts', "import './two.ts';\n"],
  'no-folder-cycles': ['enroll/left/a.ts', "import '../right/a.ts';\n"],
  'contracts-export-types-only': [
    'broker/value.ts',
    "import { limit } from './contracts/a.ts';\nexport const max = limit;\n",
  ],
  'console-runs-in-the-browser': ['console/node.ts', "import '../enroll/right/a.ts';\n"],
  'console-imports-types-of-core-only': [
    'console/value.ts',
    "import { a } from '../core/a.ts';\nexport const c = a;\n",
  ],
  'nothing-imports-console': ['cli/page.ts', "import '../console/page.ts';\n"],
  '@tanstack-has-one-importer': [
    'console/rows.ts',
    "import { Virtualizer } from '@tanstack/virtual-core';\nvoid Virtualizer;\n",
  ],
  'preact-has-one-importer': ['cli/preact.ts', "import { h } from 'preact';\nvoid h;\n"],
  'aedes-has-one-importer': ['cli/aedes.ts', "import { Aedes } from 'aedes';\nvoid Aedes;\n"],
  'aedes-persistence-has-one-importer': [
    'broker/store/persistence.ts',
    "import memory from 'aedes-persistence';\nvoid memory;\n",
  ],
  'ws-has-one-importer': [
    'broker/ws.ts',
    "import { WebSocketServer } from 'ws';\nvoid WebSocketServer;\n",
  ],
  'prom-client-has-one-importer': [
    'enroll/prom.ts',
    "import { Registry } from 'prom-client';\nvoid Registry;\n",
  ],
  'sqlite-has-one-importer': [
    'enroll/sqlite.ts',
    "import { DatabaseSync } from 'node:sqlite';\nvoid DatabaseSync;\n",
  ],
  'mqtt-has-one-importer': [
    'device-sim/mqtt.ts',
    "import { connect } from 'mqtt';\nvoid connect;\n",
  ],
  'node-forge-has-one-importer': [
    'enroll/forge.ts',
    "import forge from 'node-forge';\nvoid forge;\n",
  ],
  'lowdb-has-one-importer': ['enroll/low.ts', "import { Low } from 'lowdb';\nvoid Low;\n"],
  'fastify-has-one-importer': [
    'enroll/fastify.ts',
    "import fastify from 'fastify';\nvoid fastify;\n",
  ],
  'commander-has-one-importer': [
    'core/c.ts',
    "import { Command } from 'commander';\nvoid Command;\n",
  ],
  'pino-has-one-importer': ['core/p.ts', "import { pino } from 'pino';\nvoid pino;\n"],
  'pg-has-one-importer': ['enroll/pg.ts', "import { Client } from 'pg';\nvoid Client;\n"],
  'pkcs11js-has-one-importer': [
    'enroll/token.ts',
    "import { PKCS11 } from 'pkcs11js';\nvoid PKCS11;\n",
  ],
  'tar-has-one-importer': ['enroll/tar.ts', "import { create } from 'tar';\nvoid create;\n"],
};

/** Violations by types only, through subpaths, and by import() are reported as well. */
const hidden: Readonly<Record<string, readonly [path: string, text: string]>> = {
  'core-imports-nothing-above': [
    'core/types.ts',
    "import type { b } from '../certs/a.ts';\nexport type B = typeof b;\n",
  ],
  'mqtt-has-one-importer': [
    'broker/types.ts',
    "import type { MqttClient } from 'mqtt';\nexport type M = MqttClient;\n",
  ],
  'lowdb-has-one-importer': [
    'enroll/later.ts',
    "export const later = () => import('lowdb/node');\n",
  ],
  'ws-has-one-importer': [
    'enroll/types.ts',
    "import type { WebSocket } from 'ws';\nexport type W = WebSocket;\n",
  ],
  'node-forge-has-one-importer': [
    'core/types-forge.ts',
    "import type { asn1 } from 'node-forge';\nexport type A = asn1.Asn1;\n",
  ],
};

const others = {
  'enroll/right/a.ts': "import '../left/b.ts';\n",
  'enroll/left/b.ts': 'export const left = 1;\n',
  'broker/contracts/a.ts': 'export const limit = 1;\n',
  'core/two.ts': "import './one.ts';\n",
  'device-sim/a.ts': 'export const s = 1;\n',
  'embed/a.ts': 'export const e = 1;\n',
  'console/page.ts': 'export const page = 1;\n',
  'test/a.ts': 'export const t = 1;\n',
};

test('a project within the rules passes, and the number of modules is printed', async (t) => {
  const done = await check(t, project(t, validModules()));
  t.is(done.code, 0, done.stdout + done.stderr);
  t.regex(done.stdout, /^import rules: 29 modules, 28 imports, 0 violations$/m);
});

test('one planted violation of each rule is reported with its name and place', async (t) => {
  const planted = [...Object.entries(broken), ...Object.entries(hidden)];
  const files = Object.fromEntries(planted.map(([, [path, text]]) => [path, text]));
  const done = await check(t, project(t, { ...validModules(), ...others, ...files }));
  t.is(done.code, 1);
  for (const [rule, [path]] of planted) {
    // A rule about folders names the folder.
    const place = rule === 'no-folder-cycles' ? dirname(path) : path;
    t.true(done.stderr.includes(`error ${rule}: ${place} `), `${rule} in ${path}:\n${done.stderr}`);
  }
});

test('a cycle between a folder and a folder inside it is found', async (t) => {
  const nested = {
    ...validModules(),
    'enroll/nest/a.ts': "import '../nest/inner/b.ts';\n",
    'enroll/nest/c.ts': 'export const c = 1;\n',
    'enroll/nest/inner/b.ts': "import '../c.ts';\n",
  };
  const done = await check(t, project(t, nested));
  t.is(done.code, 1);
  t.regex(done.stderr, /error folder-cycle: enroll\/nest, enroll\/nest\/inner import each other/);
});

test('every rule has a planted violation', async (t) => {
  const { createRequire } = await import('node:module');
  const config = createRequire(import.meta.url)(resolve('.dependency-cruiser.cjs')) as {
    forbidden: { name: string }[];
  };
  const names = config.forbidden.map(({ name }) => name).sort();
  t.deepEqual(names, Object.keys(broken).sort());
});

test('a check that found no module fails', async (t) => {
  const empty = await check(t, project(t, {}));
  t.is(empty.code, 1);
  t.regex(empty.stderr, /No inputs were found/);
  const few = await check(t, project(t, { 'core/a.ts': 'export const a = 1;\n' }));
  t.is(few.code, 1);
  t.regex(few.stderr, /looked at fewer than 20 modules: nothing is proven/);
});
