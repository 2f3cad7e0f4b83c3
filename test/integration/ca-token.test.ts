import test from 'ava';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readCertificate, splitPem } from '../../certs/certificate.ts';
import { parseCrl } from '../../certs/crl.ts';
import { pkcs11Signer } from '../../certs/pkcs11-signer.ts';
import { parsePkcs11Uri } from '../../certs/pkcs11-uri.ts';
import { stateFolder } from '../../core/state-folder.ts';
import { caReport } from '../../enroll/ca/ca-report.ts';
import { flotilla } from '../support/cli.ts';
import { runChild } from '../support/child.ts';
import { debianTool } from '../support/debian-tool.ts';
import { enrollServiceOn } from '../support/enroll-service.ts';
import { softToken } from '../support/soft-token.ts';
import { tempFolder } from '../support/temp-folder.ts';

test('root and issuer are on a token: it signs certificates, lists and cross certificates, and no key is in a file', async (t) => {
  const program = debianTool(t, 'softhsm2-util');
  const openssl = debianTool(t, 'openssl');
  if (program === undefined || openssl === undefined) return;
  const folder = tempFolder(t);
  const token = await softToken(t, program, folder, ['root', 'next-root', 'rsa-issuer', 'service']);
  if (token === undefined) return;
  const state = stateFolder(join(folder, 'state'));
  mkdirSync(state.ca.folder, { recursive: true, mode: 0o700 });
  writeFileSync(state.ca.rootKey, token.uri('root'), { mode: 0o600 });
  const run = async (...args: string[]): Promise<void> => {
    const done = await flotilla([...args, '--state', state.root]);
    t.is(done.code, 0, `${args.join(' ')}: ${done.stderr}`);
  };
  // The root signs itself and two first issuers, whose keys are in files.
  await run('init');
  // The next root is on the token as well; the former one signs it.
  const nextUri = join(folder, 'next-root.uri');
  writeFileSync(nextUri, token.uri('next-root'), { mode: 0o600 });
  await run('root', 'rollover', '--token', nextUri);
  t.is(readFileSync(state.ca.rootKey, 'utf8').trim(), token.uri('next-root').trim());
  const former = join(state.ca.roots, 'former');
  t.is(readFileSync(join(former, 'key.pem'), 'utf8').trim(), token.uri('root').trim());
  t.is(splitPem(readFileSync(join(former, 'cross.pem'), 'utf8')).length, 2);
  for (const [purpose, label] of [
    ['devices', 'rsa-issuer'],
    ['services', 'service'],
  ] as const) {
    const [uri, csr, pem] = ['uri', 'csr', 'pem'].map((name) => join(folder, `${label}.${name}`));
    writeFileSync(uri!, token.uri(label), { mode: 0o600 });
    await run('issuer', 'request', '--token', uri!, '--out', csr!, '--purpose', purpose);
    await run('root', 'sign', csr!, '--out', pem!, '--purpose', purpose);
    await run('issuer', 'import', pem!);
  }
  const issuer = readCertificate(readFileSync(state.ca.issuerCert, 'utf8'));
  t.is(issuer.x509.publicKey.asymmetricKeyType, 'rsa');
  t.true(readFileSync(state.ca.issuerKey, 'utf8').startsWith('pkcs11:'));
  const report = await caReport(state, Date.now());
  t.deepEqual(
    report.issuers.filter((one) => one.current).map(({ key }) => key),
    ['token', 'token'],
  );

  const service = await enrollServiceOn(t, state);
  const device = await service.device('d1');
  const files = { root: 'root.pem', chain: 'chain.pem', leaf: 'leaf.pem' };
  writeFileSync(join(folder, files.root), splitPem(device.issued.ca)[0]!);
  writeFileSync(join(folder, files.chain), device.issued.chain);
  writeFileSync(join(folder, files.leaf), splitPem(device.issued.chain)[0]!);
  const verified = await runChild(
    t,
    openssl,
    [
      ...['verify', '-x509_strict', '-purpose', 'sslclient', '-CAfile', files.root],
      ...['-untrusted', files.chain, files.leaf],
    ],
    { cwd: folder },
  );
  t.is(verified.code, 0, verified.stderr);
  const who = await service.call({ method: 'GET', path: '/v1/whoami', ...device.credential });
  t.is(who.status, 200, 'the certificate of the service is signed by the token as well');
  await t.notThrowsAsync(
    parseCrl((await service.call({ method: 'GET', path: '/crl' })).body, issuer),
  );
  t.true(readdirSync(state.ca.issuers).length > 2);
});

test('a URI that is not complete, or a token that is not there, has an error of its own', async (t) => {
  const good = 'pkcs11:token=a%20b;object=k?module-path=/lib/x.so&pin-source=file:/run/pin';
  t.like(parsePkcs11Uri(good), { token: 'a b', object: 'k', pin: { file: '/run/pin' } });
  for (const uri of [
    'pkcs11:token=a?module-path=/x&pin-value=1',
    'pkcs11:token=a;object=k?pin-value=1',
    'pkcs11:token=a;object=k?module-path=/x',
    'pkcs11:token=a;object=k;slot-id=3?module-path=/x&pin-value=1',
    'pkcs11:token=%2;object=k?module-path=/x&pin-value=1',
    'pkcs11:token=a;token=b;object=k?module-path=/x&pin-value=1',
  ]) {
    t.throws(() => parsePkcs11Uri(uri), { code: 'ca-key-unreadable' }, uri);
  }
  await t.throwsAsync(
    pkcs11Signer('pkcs11:token=a;object=k?module-path=/no/such/file.so&pin-value=1'),
    { code: 'ca-token-failed' },
  );
});
