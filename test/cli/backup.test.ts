/** `flotilla backup` while everything runs, and `flotilla restore` of it. @module */
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { z } from 'zod';
import { spawnNode } from '../support/child.ts';
import { anyPorts, flotilla, flotillaPath, startUp, type Ready, type Up } from '../support/cli.ts';

let up: Up;
let file: string;
const made = z.object({ file: z.string(), sha256: z.string().regex(/^[0-9a-f]{64}$/) });
const folder = (name: string): string => join(up.folder, name);

test.before(async () => {
  up = await startUp();
  file = folder('backup.tar.gz');
  await up.ask(z.unknown(), 'device', 'enroll', '--id', 'kept', '--out', folder('kept'));
  const publish = ['pub', '--dir', folder('kept'), 'devices/kept/state', 'on', '--retain'];
  await up.ask(z.unknown(), ...publish);
});
test.after.always(() => up.close());

test.serial('a backup of running services is restored, started, and complete', async (t) => {
  const { sha256 } = await up.ask(made, 'backup', '--out', file);
  t.is(statSync(file).mode & 0o777, 0o600);
  const again = await flotilla(['backup', '--out', file, '--state', up.ready.state]);
  t.is(again.code, 2);
  t.regex(again.stderr, /\[output-file-exists\]/);
  await up.ask(z.unknown(), 'device', 'enroll', '--id', 'later', '--out', folder('later'));
  const state = folder('restored');
  const done = await flotilla(['restore', file, '--json', '--state', state]);
  t.is(done.code, 0, done.stderr);
  t.like(done.json(), { state, sha256, identities: 3 });
  const copy = spawnNode(t, [flotillaPath, 'up', '--json', '--state', state, ...anyPorts]);
  const ready = JSON.parse(await copy.line(() => true, 90_000)) as Ready;
  t.is(ready.ca.fingerprint, up.ready.ca.fingerprint);
  const here = (...args: string[]): ReturnType<typeof flotilla> =>
    flotilla([...args, '--state', state]);
  t.is((await here('audit', 'verify')).code, 0);
  t.is((await here('device', 'show', 'kept')).code, 0);
  t.is((await here('device', 'show', 'later')).code, 1, 'enrolled after the backup');
  const sent = await here('pub', '--dir', folder('kept'), 'devices/kept/state', 'off');
  t.is(sent.code, 0, `a device connects: ${sent.stderr}`);
  const backend = ['service', 'create', '--name', 'reader', '--out', folder('reader')];
  t.is((await here(...backend)).code, 0);
  const read = ['sub', '--dir', folder('reader'), 'devices/kept/state', '--count', '1', '--json'];
  t.like((await here(...read)).json(), { payload: 'on' }, 'the retained message of the backup');
  t.is((await copy.stop()).code, 0);
  const checked = await here('check');
  t.is(checked.code, 0, checked.stdout);
});

test.serial(
  'nothing is restored over a state, from a damaged file, or beside a running service',
  async (t) => {
    const bad = folder('bad.tar.gz');
    copyFileSync(file, bad);
    appendFileSync(bad, 'x');
    const target = folder('untouched');
    const damaged = await flotilla(['restore', bad, '--state', target]);
    t.is(damaged.code, 1);
    t.regex(damaged.stderr, /\[backup-damaged\]/);
    t.false(existsSync(join(target, 'ca')));
    const over = await flotilla(['restore', file, '--state', up.ready.state]);
    t.is(over.code, 2);
    t.regex(over.stderr, /\[state-exists\]/);
    const running = await flotilla(['restore', file, '--replace', '--state', up.ready.state]);
    t.is(running.code, 1);
    t.regex(running.stderr, /\[state-in-use\]/);
  },
);

test.serial('a stopped state is backed up, replaced and kept aside', async (t) => {
  const state = folder('restored');
  const out = folder('second.tar.gz');
  const backup = await flotilla([
    'backup',
    '--out',
    out,
    '--no-passphrase',
    '--json',
    '--state',
    state,
  ]);
  t.is(backup.code, 0, backup.stderr);
  const done = await flotilla(['restore', out, '--replace', '--json', '--state', state]);
  t.is(done.code, 0, done.stderr);
  const { kept } = z.object({ kept: z.string() }).parse(done.json());
  t.true(existsSync(join(kept, 'ca', 'passphrase')));
  t.false(existsSync(join(state, 'ca', 'passphrase')));
  t.regex(readFileSync(join(state, 'ca', 'issuer.key.pem'), 'utf8'), /ENCRYPTED PRIVATE KEY/);
  const started = await flotilla(['init', '--state', state]);
  t.regex(started.stderr, /\[ca-passphrase-missing\]/);
});

test.serial(
  'the passphrase is changed while the service is stopped, and the service starts with it',
  async (t) => {
    const state = folder('rekeyed');
    t.is((await flotilla(['restore', file, '--state', state])).code, 0);
    const passphrase = folder('new-passphrase');
    writeFileSync(passphrase, 'correct horse battery\n', { mode: 0o600 });
    const args = ['ca', 'passphrase', '--new-passphrase-file', passphrase, '--json'];
    const running = await flotilla([...args, '--state', up.ready.state]);
    t.is(running.code, 1);
    t.regex(running.stderr, /\[state-in-use\]/);
    const done = await flotilla([...args, '--no-store', '--state', state]);
    t.is(done.code, 0, done.stderr);
    t.like(done.json(), { stored: false });
    t.regex((await flotilla(['init', '--state', state])).stderr, /\[ca-passphrase-missing\]/);
    const env = { FLOTILLA_CA_PASSPHRASE_FILE: passphrase };
    t.is((await flotilla(['init', '--state', state], env)).code, 0);
    writeFileSync(passphrase, 'short', { mode: 0o600 });
    t.is((await flotilla([...args, '--state', state], env)).code, 2);
    t.is((await flotilla(['audit', 'verify', '--state', state])).code, 0);
  },
);
