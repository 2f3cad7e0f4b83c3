/**
 * The commands of docs/bad-days.md, run as they are written, each section on a state folder of its own.
 *
 * @module
 */
import test, { type ExecutionContext } from 'ava';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { caStatusSchema } from '../../core/protocol/ca-status.ts';
import { runChild } from '../support/child.ts';
import { flotilla, flotillaPath } from '../support/cli.ts';
import { debianTool } from '../support/debian-tool.ts';
import { tempFolder } from '../support/temp-folder.ts';

const page = readFileSync('docs/bad-days.md', 'utf8');
const sections = new Map(
  page.split(/^## /m).map((part) => {
    const blocks = Array.from(part.matchAll(/^```sh\n(.*?)^```$/gms), ([, text = '']) => text);
    return [part.slice(0, part.indexOf('\n')), blocks];
  }),
);

interface Place {
  readonly state: string;
  /** The medium with the key of the root, its passphrase, and a copy of the whole state. */
  readonly offline: string;
  readonly folder: string;
}

async function place(t: ExecutionContext): Promise<Place> {
  const folder = tempFolder(t);
  const [state, offline] = [join(folder, 'state'), join(folder, 'offline')];
  t.is((await flotilla(['init', '--state', state])).code, 0);
  mkdirSync(join(folder, 'bin'), { mode: 0o700 });
  mkdirSync(offline, { mode: 0o700 });
  const program = `#!/bin/sh\nexec "${process.execPath}" "${flotillaPath}" "$@"\n`;
  writeFileSync(join(folder, 'bin', 'flotilla'), program, { mode: 0o755 });
  cpSync(state, join(offline, 'state'), { recursive: true, verbatimSymlinks: true });
  for (const name of ['root.key.pem', 'passphrase']) {
    cpSync(join(state, 'ca', name), join(offline, name));
  }
  return { state, offline, folder };
}

/** Runs every block of a section. @param env more variables, for example another clock */
async function works(
  t: ExecutionContext,
  section: string,
  { state, offline, folder }: Place,
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  const blocks = sections.get(section) ?? [];
  t.true(blocks.length > 0, section);
  for (const text of blocks) {
    const done = await runChild(t, '/bin/bash', ['-euo', 'pipefail', '-c', text], {
      cwd: folder,
      env: {
        PATH: `${join(folder, 'bin')}:/usr/bin:/bin`,
        FLOTILLA_STATE: state,
        OFFLINE: offline,
        ...env,
      },
      timeoutMs: 120_000,
    });
    t.is(done.code, 0, `${section}\n${text}\n${done.stdout}\n${done.stderr}`);
  }
}

async function issuersOf({ state }: Place): Promise<string[]> {
  const done = await flotilla(['ca', 'status', '--state', state, '--json']);
  return caStatusSchema.parse(done.json()).issuers.map(({ fingerprint }) => fingerprint);
}

function hasTools(t: ExecutionContext): boolean {
  return ['jq', 'faketime'].every((tool) => debianTool(t, tool) !== undefined);
}

test('an issuer has expired', async (t) => {
  if (!hasTools(t)) return;
  const library = readdirSync('/usr/lib')
    .map((name) => resolve('/usr/lib', name, 'faketime', 'libfaketime.so.1'))
    .find((path) => existsSync(path));
  t.truthy(library);
  const here = await place(t);
  renameSync(join(here.state, 'ca', 'root.key.pem'), join(here.folder, 'moved'));
  await works(t, 'An issuer has expired', here, {
    LD_PRELOAD: library ?? '',
    FAKETIME: '+4745d',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    DONT_FAKE_MONOTONIC: '1',
    NO_FAKE_STAT: '1',
  });
  t.is(
    (await issuersOf(here)).length,
    5,
    'two that ended, two from here, one from the other machine',
  );
});

test('an issuer was stolen', async (t) => {
  if (!hasTools(t)) return;
  const here = await place(t);
  const [before] = await issuersOf(here);
  await works(t, 'An issuer was stolen', here);
  t.false((await issuersOf(here)).includes(before ?? ''));
});

test('the root is near its end', async (t) => {
  if (!hasTools(t)) return;
  const here = await place(t);
  await works(t, 'The root is near its end', here);
  t.is((await issuersOf(here)).length, 4);
});

test('the passphrase is lost, a backup was restored, the clock is wrong', async (t) => {
  if (!hasTools(t)) return;
  const here = await place(t);
  for (const section of ['A backup was restored', 'The clock is wrong', 'The passphrase is lost']) {
    await works(t, section, here);
  }
  t.is((await issuersOf(here)).length, 2);
});

test('the page has a section for each bad day', (t) => {
  t.is([...sections.values()].filter((blocks) => blocks.length > 0).length, 6);
});
