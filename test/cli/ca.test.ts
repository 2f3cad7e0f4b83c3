import test, { type ExecutionContext } from 'ava';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { readCertificate, splitPem } from '../../certs/certificate.ts';
import { caStatusSchema, type CaStatus } from '../../core/protocol/ca-status.ts';
import { issuerSchema } from '../../core/protocol/enrollment-api.ts';
import { flotilla } from '../support/cli.ts';
import { runChild } from '../support/child.ts';
import { debianTool } from '../support/debian-tool.ts';
import { tempFolder } from '../support/temp-folder.ts';

/** Runs a command on a stopped state, expects success, and returns its JSON. */
async function ask<T>(t: ExecutionContext, shape: z.ZodType<T>, ...args: string[]): Promise<T> {
  const done = await flotilla([...args, '--json']);
  t.is(done.code, 0, `${args.join(' ')}: ${done.stderr}`);
  return shape.parse(done.json());
}

async function refused(...args: string[]): Promise<string> {
  const done = await flotilla([...args, '--json']);
  return z.object({ error: z.object({ code: z.string() }) }).parse(done.json()).error.code;
}

function statusOf(t: ExecutionContext, state: string): Promise<CaStatus> {
  return ask(t, caStatusSchema, 'ca', 'status', '--state', state);
}

test('issuers are added, withdrawn and retired while the service is stopped', async (t) => {
  const state = join(tempFolder(t), 'state');
  await ask(t, z.unknown(), 'init', '--state', state);
  const before = await statusOf(t, state);
  t.deepEqual(
    before.issuers.map(({ purpose, current }) => `${purpose} ${current}`),
    ['devices true', 'services true'],
  );
  const added = await ask(t, issuerSchema, 'issuer', 'add', '--state', state);
  const [old] = before.issuers;
  const after = await statusOf(t, state);
  t.like(after.issuers[0], { fingerprint: added.fingerprint, current: true });
  t.like(after.issuers[2], { fingerprint: old!.fingerprint, current: false });
  t.is(await refused('issuer', 'withdraw', added.fingerprint, '--state', state), 'issuer-in-use');
  await ask(t, z.unknown(), 'ca', 'issuer', 'withdraw', old!.fingerprint, '--state', state);
  t.is((await statusOf(t, state)).issuers.length, 2);

  const done = await ask(
    t,
    z.object({ replacements: z.array(z.string()), onRootCrl: z.boolean() }),
    ...['issuer', 'withdraw', added.fingerprint, '--compromised', '--yes', '--state', state],
  );
  t.is(done.replacements.length, 1);
  t.true(done.onRootCrl);
  const last = await statusOf(t, state);
  t.is(last.issuers[0]?.fingerprint, done.replacements[0]);
  t.deepEqual(
    last.withdrawn.map(({ fingerprint, onRootCrl }) => [fingerprint, onRootCrl]),
    [[added.fingerprint, true]],
  );
  t.true(last.ok, JSON.stringify(last.checks));
});

test('the key of the root is on another machine: it signs requests, and the state folder never sees it', async (t) => {
  const folder = tempFolder(t);
  const [offline, online] = [join(folder, 'offline'), join(folder, 'online')];
  await ask(t, z.unknown(), 'init', '--state', offline);
  const root = join(offline, 'ca', 'root.pem');
  await ask(t, z.unknown(), 'root', 'import', root, '--state', online);
  for (const purpose of ['devices', 'services']) {
    const [csr, chain] = [join(folder, `${purpose}.csr`), join(folder, `${purpose}.pem`)];
    const to = ['--purpose', purpose, '--state', online];
    await ask(t, z.unknown(), 'issuer', 'request', '--out', csr, ...to);
    const from = ['--purpose', purpose, '--state', offline];
    await ask(t, z.unknown(), 'root', 'sign', csr, '--out', chain, ...from);
    const made = await ask(t, issuerSchema, 'issuer', 'import', chain, '--state', online);
    t.is(made.purpose, purpose as 'devices' | 'services');
  }
  // Also the certificate that answers OCSP requests about these issuers.
  const [csr, certificate] = [join(folder, 'ocsp.csr'), join(folder, 'ocsp.pem')];
  await ask(t, z.unknown(), 'root', 'ocsp', 'request', '--out', csr, '--state', online);
  const from = ['--purpose', 'ocsp', '--state', offline];
  await ask(t, z.unknown(), 'root', 'sign', csr, '--out', certificate, ...from);
  await ask(t, z.unknown(), 'root', 'ocsp', 'import', certificate, '--state', online);
  // The root's list comes from there, too: nothing here can sign it.
  writeFileSync(
    join(online, 'ca', 'root.crl.pem'),
    readFileSync(join(offline, 'ca', 'root.crl.pem')),
  );
  await ask(t, z.unknown(), 'init', '--state', online);
  const status = await statusOf(t, online);
  t.is(status.root.fingerprint, readCertificate(readFileSync(root, 'utf8')).fingerprint);
  t.is(status.root.key, 'elsewhere');
  t.is(status.issuers.length, 2);
  t.true(status.ok, JSON.stringify(status.checks));
  const responder = status.checks.find(({ name }) => name === 'OCSP of issuers');
  t.regex(responder?.detail ?? '', /^18\d\d days left$/);
  t.is(await refused('issuer', 'add', '--state', online), 'root-key-missing');
  t.is(await refused('root', 'rollover', '--state', online), 'root-key-missing');
});

test('an issuer below a CA of a company is imported with its chain, and one of another root is not', async (t) => {
  const openssl = debianTool(t, 'openssl');
  if (openssl === undefined) return;
  const folder = tempFolder(t);
  const run = async (...args: string[]): Promise<void> => {
    const done = await runChild(t, openssl, args, { cwd: folder });
    t.is(done.code, 0, done.stderr);
  };
  const extensions = 'keyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n';
  const ca = (more: string): string => `basicConstraints=critical,CA:TRUE${more}\n${extensions}`;
  writeFileSync(join(folder, 'root.ext'), ca(''));
  writeFileSync(join(folder, 'policy.ext'), ca(',pathlen:1'));
  writeFileSync(join(folder, 'issuer.ext'), `${ca(',pathlen:0')}authorityKeyIdentifier=keyid\n`);
  for (const name of ['root', 'policy', 'other']) {
    await run(
      ...['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-nodes'],
      ...['-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/O=Acme/CN=Acme ${name}`],
    );
  }
  for (const name of ['root', 'other']) {
    const own = ['-signkey', `${name}.key`, '-extfile', 'root.ext', '-days', '9000'];
    await run('x509', '-req', '-in', `${name}.csr`, ...own, '-out', `${name}.pem`);
  }
  const signed = async (name: string, by: string): Promise<void> =>
    run(
      ...['x509', '-req', '-in', `${name}.csr`, '-CA', `${by}.pem`, '-CAkey', `${by}.key`],
      ...['-CAcreateserial', '-extfile', `${name}.ext`, '-days', '4000', '-out', `${name}.pem`],
    );
  await signed('policy', 'root');
  const state = join(folder, 'state');
  const at = (name: string): string => join(folder, name);
  await ask(t, z.unknown(), 'root', 'import', at('root.pem'), '--state', state);
  await ask(t, z.unknown(), 'issuer', 'request', '--out', at('issuer.csr'), '--state', state);
  await signed('issuer', 'other');
  t.is(await refused('issuer', 'import', at('issuer.pem'), '--state', state), 'ca-chain-broken');
  await signed('issuer', 'policy');
  t.is(await refused('issuer', 'import', at('issuer.pem'), '--state', state), 'ca-chain-broken');
  const [issuer, policy] = [readFileSync(at('issuer.pem')), readFileSync(at('policy.pem'))];
  writeFileSync(at('chain.pem'), Buffer.concat([issuer, policy]));
  await ask(t, issuerSchema, 'issuer', 'import', at('chain.pem'), '--state', state);
  await ask(t, z.unknown(), 'init', '--state', state);
  const done = await flotilla(['ca', 'status', '--state', state, '--json']);
  t.is(done.code, 1, 'the list of the root is missing');
  t.deepEqual(caStatusSchema.parse(done.json()).issuers[0]?.above, ['CN=Acme policy,O=Acme']);
  const chain = splitPem(readFileSync(join(state, 'admin', 'chain.pem'), 'utf8'));
  t.is(chain.length, 3, 'the leaf, the issuer and the CA above it');
  await run(
    'verify',
    '-x509_strict',
    '-CAfile',
    'root.pem',
    '-untrusted',
    join(state, 'admin', 'chain.pem'),
    join(state, 'admin', 'cert.pem'),
  );
});
