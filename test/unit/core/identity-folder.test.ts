import test from 'ava';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { cpSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { readlinkSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import {
  holdsIdentity,
  loadIdentity,
  saveIdentity,
  type IdentityContent,
  type SaveStep,
} from '../../../core/identity-folder.ts';
import { runChild, spawnNode } from '../../support/child.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { testCa } from '../../support/test-ca.ts';

const ca = testCa();
const files = ['key.pem', 'cert.pem', 'chain.pem', 'ca.pem', 'enrollment.json'];
const childPath = join(import.meta.dirname, '../../support/identity-folder-child.ts');

function identity(commonName: string): IdentityContent {
  const { key, leaf, cert } = ca.issue({ profile: 'device', commonName });
  const enrollment = `{"id":"${commonName}"}\n`;
  return { key, cert: leaf, chain: cert, ca: ca.ca, enrollment };
}

const before = identity('before');
const after = identity('after');

function writePlain(folder: string, content: IdentityContent): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { key, cert, chain, ca: trusted, enrollment = '' } = content;
  for (const [at, text] of [key, cert, chain, trusted, enrollment].entries()) {
    writeFileSync(join(folder, files[at]!), text, { mode: at === 0 ? 0o600 : 0o644 });
  }
}

/** The ways in which a folder may hold the identity `before`. */
const layouts: Readonly<Record<string, (folder: string) => Promise<void>>> = {
  'links as they are saved': async (folder) => {
    await saveIdentity(folder, before);
  },
  'plain files': (folder) => Promise.resolve(writePlain(folder, before)),
  'a copy that followed every link': async (folder) => {
    await saveIdentity(`${folder}-original`, before);
    cpSync(`${folder}-original`, folder, { recursive: true, dereference: true });
  },
  'a copy that followed the links to folders': async (folder) => {
    await saveIdentity(folder, before);
    const version = readlinkSync(join(folder, '.current'));
    rmSync(join(folder, '.current'));
    renameSync(join(folder, version), join(folder, '.current'));
  },
  'a copy without the hidden folders': async (folder) => {
    writePlain(folder, before);
    symlinkSync('.identity-9-000000000000', join(folder, '.current'));
    return Promise.resolve();
  },
  'a copy whose links are absolute': async (folder) => {
    await saveIdentity(`${folder}-original`, before);
    cpSync(`${folder}-original`, folder, { recursive: true });
  },
  'links of the release that did not number its versions': async (folder) => {
    writePlain(join(folder, '.identity-0123456789ab'), before);
    symlinkSync('.identity-0123456789ab', join(folder, '.current'));
    for (const name of files) symlinkSync(join('.current', name), join(folder, name));
    return Promise.resolve();
  },
  'some files plain and some linked': async (folder) => {
    await saveIdentity(folder, before);
    rmSync(join(folder, 'ca.pem'));
    writeFileSync(join(folder, 'ca.pem'), before.ca);
  },
  'a renewal that an earlier release did not complete': (folder) => {
    writePlain(folder, before);
    renameSync(join(folder, 'key.pem'), join(folder, 'key.next.pem'));
    writeFileSync(join(folder, 'key.pem'), after.key, { mode: 0o600 });
    return Promise.resolve();
  },
};

for (const [layout, make] of Object.entries(layouts)) {
  test(`a save replaces ${layout}; a crash after any step leaves the old identity or the new one`, async (t) => {
    const root = tempFolder(t);
    const folder = join(root, 'identity');
    await make(folder);
    t.deepEqual(await loadIdentity(folder), before);
    t.true(await holdsIdentity(folder));
    const original = existsSync(`${folder}-original`) ? snapshot(`${folder}-original`) : undefined;
    const steps: { name: SaveStep; copy: string }[] = [];
    await saveIdentity(folder, after, (name) => {
      const copy = join(root, `step-${steps.length}`);
      cpSync(folder, copy, { recursive: true, verbatimSymlinks: true });
      steps.push({ name, copy });
      return Promise.resolve();
    });
    t.deepEqual(await loadIdentity(folder), after);
    assertComplete(t, folder);
    const current = steps.findIndex(({ name }) => name === 'new version is current');
    t.true(current > 0);
    for (const [at, { name, copy }] of steps.entries()) {
      const found = at < current ? before : after;
      t.deepEqual(await loadIdentity(copy), found, name);
      // Also for a program that opens the five paths.
      t.is(readFileSync(join(copy, 'cert.pem'), 'utf8'), found.cert, name);
      t.is(readFileSync(join(copy, 'chain.pem'), 'utf8'), found.chain, name);
      await saveIdentity(copy, after);
      t.deepEqual(await loadIdentity(copy), after, name);
      assertComplete(t, copy);
    }
    if (original !== undefined) t.deepEqual(snapshot(`${folder}-original`), original);
    // Nothing of the identity before the last but one stays.
    await saveIdentity(folder, identity('third'));
    await saveIdentity(folder, identity('fourth'));
    const keys = Object.entries(snapshot(folder))
      .filter(([path]) => path.endsWith('key.pem') && !path.startsWith('.current'))
      .map(([, content]) => content);
    t.is(keys.length, 2);
    t.false(keys.includes(before.key));
  });
}

test('in a new folder all files appear at once', async (t) => {
  const root = tempFolder(t);
  const folder = join(root, 'above', 'identity');
  t.false(await holdsIdentity(folder));
  const seen: string[] = [];
  await saveIdentity(folder, after, (name) => {
    const readable = files.filter((file) => existsSync(join(folder, file))).length;
    seen.push(`${name}: ${readable}`);
    return Promise.resolve();
  });
  t.deepEqual(
    seen.filter((line) => !line.startsWith('file linked')),
    ['new version written: 0', 'new version is current: 5', 'old versions deleted: 5'],
  );
  t.true(seen.filter((line) => line.startsWith('file linked')).every((line) => line.endsWith('0')));
  assertComplete(t, folder);
});

test('a folder whose links lead nowhere holds no identity, and can be saved to', async (t) => {
  const folder = join(tempFolder(t), 'identity');
  await saveIdentity(folder, before);
  rmSync(join(folder, readlinkSync(join(folder, '.current'))), { recursive: true });
  t.false(await holdsIdentity(folder));
  await t.throwsAsync(loadIdentity(folder), { code: 'identity-unreadable' });
  await saveIdentity(folder, after);
  t.deepEqual(await loadIdentity(folder), after);
});

test('a save without enrollment data keeps what is there', async (t) => {
  const folder = join(tempFolder(t), 'identity');
  const { key, cert, chain, ca: trusted } = after;
  await saveIdentity(folder, { key, cert, chain, ca: trusted });
  t.false(existsSync(join(folder, 'enrollment.json')));
  t.is((await loadIdentity(folder)).enrollment, undefined);
  await saveIdentity(folder, before);
  await saveIdentity(folder, { key, cert, chain, ca: trusted });
  t.is((await loadIdentity(folder)).enrollment, before.enrollment);
});

test('a key of another certificate is refused, and a missing or outdated cert.pem is not needed', async (t) => {
  const folder = join(tempFolder(t), 'identity');
  writePlain(folder, { ...before, cert: after.cert });
  t.is((await loadIdentity(folder)).cert, before.cert);
  rmSync(join(folder, 'cert.pem'));
  t.is((await loadIdentity(folder)).cert, before.cert);
  writeFileSync(join(folder, 'key.pem'), after.key);
  const error = await t.throwsAsync(loadIdentity(folder), { code: 'identity-unreadable' });
  t.regex(String(error.cause), /not the key of the certificate/);
});

test('a save that fails says where and leaves the identity', async (t) => {
  const folder = join(tempFolder(t), 'identity');
  await saveIdentity(folder, before);
  rmSync(join(folder, 'ca.pem'));
  mkdirSync(join(folder, 'ca.pem'));
  const error = await t.throwsAsync(saveIdentity(folder, after), { code: 'file-write-failed' });
  t.true(error.message.includes(folder));
  t.is(readFileSync(join(folder, 'cert.pem'), 'utf8'), before.cert);
});

test('a save that fails between two files leaves no files, so that attempts on a full disk do not use more of it', async (t) => {
  // The last file of a version has the longest name: its path is longer than the system allows.
  let folder = tempFolder(t);
  while (folder.length < 4056) {
    folder = join(folder, 'f'.repeat(Math.min(200, Math.max(1, 4057 - folder.length))));
  }
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (let attempt = 0; attempt < 2; attempt++) {
    await t.throwsAsync(saveIdentity(folder, before), { code: 'file-write-failed' });
    t.deepEqual(readdirSync(folder), []);
  }
});

test('during 100 renewals by another process, a reader that resolves .current once gets files that belong together', async (t) => {
  const folder = join(tempFolder(t), 'identity');
  await saveIdentity(folder, before);
  const child = spawnNode(t, [childPath, folder, '100', 'renewed'], { timeoutMs: 300_000 });
  const serials = new Set<string>();
  let reads = 0;
  do {
    const found = readThrough(join(folder, readlinkSync(join(folder, '.current'))));
    // Its version was deleted: two more renewals were complete before it was read.
    if (found !== undefined) {
      t.true(found.leaf.checkPrivateKey(createPrivateKey(found.key)));
      t.is(found.leaf.raw.toString('hex'), new X509Certificate(found.cert).raw.toString('hex'));
      t.true(found.leaf.verify(new X509Certificate(found.issuer).publicKey));
      serials.add(found.leaf.serialNumber);
      reads++;
    }
    const loaded = await loadIdentity(folder);
    t.true(new X509Certificate(loaded.chain).checkPrivateKey(createPrivateKey(loaded.key)));
    await new Promise((resolve) => setImmediate(resolve));
  } while (child.process.exitCode === null && child.process.signalCode === null);
  const { code, stderr } = await child.finished;
  t.is(code, 0, stderr);
  t.true(reads > 1);
  t.true(serials.size > 1);
  t.is(new X509Certificate((await loadIdentity(folder)).chain).subject, 'CN=renewed');
});

for (const [layout, make] of [
  ['linked files', layouts['links as they are saved']!],
  ['plain files', layouts['plain files']!],
  ['copied files', layouts['a copy that followed the links to folders']!],
] as const) {
  test(`of two processes that write ${layout} at the same time, one identity stays, complete`, async (t) => {
    const folder = join(tempFolder(t), 'identity');
    await make(folder);
    const names = ['one', 'two'];
    const finished = await Promise.all(
      names.map((name) =>
        runChild(t, process.execPath, [childPath, folder, '30', name], { timeoutMs: 300_000 }),
      ),
    );
    for (const { code, stderr } of finished) t.is(code, 0, stderr);
    const { chain } = await loadIdentity(folder);
    t.true(names.map((name) => `CN=${name}`).includes(new X509Certificate(chain).subject));
    assertComplete(t, folder);
  });
}

/** Reads the files of one version. @returns undefined when it was deleted meanwhile */
function readThrough(
  version: string,
): { key: string; cert: string; leaf: X509Certificate; issuer: string } | undefined {
  try {
    const read = (name: string): string => readFileSync(join(version, name), 'utf8');
    const [key, cert, chain] = [read('key.pem'), read('cert.pem'), read('chain.pem')];
    const issuer = chain.slice(chain.indexOf('-----BEGIN', 1));
    const trusted = read('ca.pem');
    if (!trusted.includes(issuer))
      throw new Error('chain.pem and ca.pem are of different versions');
    return { key, cert, leaf: new X509Certificate(chain), issuer };
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** All names are links through one link, private where they must be. */
function assertComplete(
  t: { is(one: unknown, other: unknown, message?: string): void },
  folder: string,
): void {
  for (const name of files) t.is(readlinkSync(join(folder, name)), join('.current', name), name);
  t.is(basename(readlinkSync(join(folder, '.current'))), readlinkSync(join(folder, '.current')));
  t.is(statSync(join(folder, 'key.pem')).mode & 0o777, 0o600);
  t.is(statSync(join(folder, '.current')).mode & 0o777, 0o700);
}

function snapshot(folder: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((path) => lstatSync(join(folder, path)).isFile())
      .map((path) => [path, readFileSync(join(folder, path), 'utf8')]),
  );
}
