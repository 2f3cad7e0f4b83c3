/** `flotilla service create`: server certificates, and PKCS#12 files. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { z } from 'zod';
import { runChild } from '../support/child.ts';
import { flotilla, startUp, type Up } from '../support/cli.ts';
import { debianTool } from '../support/debian-tool.ts';

let up: Up;
test.before(async () => {
  up = await startUp();
});
test.after.always(() => up.close());

test('a server certificate has the names, is for servers only, and comes as PKCS#12 too', async (t) => {
  const openssl = debianTool(t, 'openssl');
  if (openssl === undefined) return;
  const out = join(up.folder, 'gateway');
  const [p12, passphrase] = [join(up.folder, 'gateway.p12'), join(up.folder, 'passphrase')];
  writeFileSync(passphrase, 'correct horse\n', { mode: 0o600 });
  await up.ask(
    z.unknown(),
    ...['service', 'create', '--name', 'gateway', '--role', 'server', '--out', out],
    ...['--names', 'gateway.example.com', '192.0.2.7', '--p12', p12],
    ...['--p12-passphrase-file', passphrase],
  );
  const shown = await runChild(t, openssl, [
    ...['x509', '-in', join(out, 'cert.pem'), '-noout', '-ext', 'subjectAltName,extendedKeyUsage'],
  ]);
  t.regex(shown.stdout, /TLS Web Server Authentication\s*\n/);
  t.notRegex(shown.stdout, /Client/);
  t.regex(shown.stdout, /DNS:gateway\.example\.com, IP Address:192\.0\.2\.7/);
  const opened = await runChild(t, openssl, [
    ...['pkcs12', '-in', p12, '-passin', `file:${passphrase}`, '-nokeys'],
  ]);
  t.is(opened.code, 0, opened.stderr);
  t.is(opened.stdout.match(/BEGIN CERTIFICATE/g)?.length, 2);
});

test('a server certificate without names and a PKCS#12 file without a passphrase are refused', async (t) => {
  const create = (...more: string[]): ReturnType<typeof flotilla> =>
    flotilla([
      ...['service', 'create', '--name', 'other', '--role', 'server', '--state', up.ready.state],
      ...['--out', join(up.folder, 'other'), '--json', ...more],
    ]);
  const nameless = await create();
  t.is(nameless.code, 2);
  t.regex(nameless.stderr, /needs the names/);
  const open = await create('--names', 'a.example', '--p12', join(up.folder, 'other.p12'));
  t.is(open.code, 2);
  t.false(existsSync(join(up.folder, 'other.p12')));
});

test('a refused enrollment leaves no folder, and git ignores an identity', async (t) => {
  const refused = join(up.folder, 'refused');
  const done = await flotilla([
    ...['service', 'create', '--name', 'admin', '--role', 'service', '--out', refused],
    ...['--state', up.ready.state],
  ]);
  t.is(done.code, 1);
  t.false(existsSync(refused));
  const out = join(up.folder, 'ignored');
  await up.ask(z.unknown(), ...['service', 'create', '--name', 'ignored', '--out', out]);
  t.is(readFileSync(join(out, '.gitignore'), 'utf8'), '*\n');
});
