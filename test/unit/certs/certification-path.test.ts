import test from 'ava';
import { readCertificate } from '../../../certs/certificate.ts';
import { anchorFault, pathFault } from '../../../certs/certification-path.ts';
import { oids } from '../../../certs/oids.ts';
import { foreignCertificate, type ForeignOptions } from '../../support/certs-foreign-path.ts';
import { opensslFor } from '../../support/certs-openssl.ts';
import { Extension, KeyUsageFlags } from '../../support/certs-peculiar.ts';

const hourMs = 3_600_000;
const { digitalSignature, keyCertSign } = KeyUsageFlags;

/** Changes to the default leaf, intermediate CA and root. */
interface Faults {
  readonly leaf?: Partial<ForeignOptions>;
  readonly middle?: Partial<ForeignOptions>;
  readonly root?: Partial<ForeignOptions>;
  /** Signs the leaf with another key in the name of the intermediate CA. */
  readonly forged?: boolean;
}

async function pathWith({ leaf, middle, root, forged = false }: Faults): Promise<string[]> {
  const top = await foreignCertificate({ name: 'Maker root', ca: {}, ...root });
  const between = await foreignCertificate({
    name: 'Maker plant 1',
    by: top,
    ca: { pathLength: 0 },
    ...middle,
  });
  const other = await foreignCertificate({ name: 'Maker plant 1', ca: {} });
  const end = await foreignCertificate({
    name: 'f1',
    by: forged ? other : between,
    extendedKeyUsage: [oids.clientAuth],
    ...leaf,
  });
  return [end.pem, between.pem, top.pem];
}

const nameConstraints = new Extension(
  oids.nameConstraints,
  false,
  new Uint8Array(Buffer.from('3009a0073005820361 2e62'.replace(' ', ''), 'hex')),
);
const unknown = (critical: boolean): Extension =>
  new Extension('1.3.6.1.4.1.99999.1', critical, new Uint8Array([5, 0]));

/** `openssl`: whether it makes the same decision in strict mode. */
const cases: readonly {
  readonly name: string;
  readonly faults: Faults;
  readonly fault: RegExp | undefined;
  readonly openssl: 'same' | 'milder';
}[] = [
  { name: 'valid', faults: {}, fault: undefined, openssl: 'same' },
  {
    name: 'without key usages, like old certificates',
    faults: { leaf: { keyUsage: null, extendedKeyUsage: undefined } },
    fault: undefined,
    openssl: 'same',
  },
  {
    name: 'an unknown extension that is not critical',
    faults: { leaf: { more: [unknown(false)] } },
    fault: undefined,
    openssl: 'same',
  },
  { name: 'a forged leaf', faults: { forged: true }, fault: /wrong signature/, openssl: 'same' },
  {
    name: 'an expired leaf',
    faults: { leaf: { notAfterMs: Date.now() - 60_000 } },
    fault: /the certificate has ended/,
    openssl: 'same',
  },
  {
    name: 'a leaf that is not valid yet',
    faults: { leaf: { notBeforeMs: Date.now() + 60_000 } },
    fault: /the certificate has not begun/,
    openssl: 'same',
  },
  {
    name: 'an expired intermediate CA',
    faults: { middle: { notAfterMs: Date.now() - 60_000 } },
    fault: /the CA 1 above it has ended/,
    openssl: 'same',
  },
  {
    name: 'an expired registered CA',
    faults: { root: { notAfterMs: Date.now() - 60_000 } },
    fault: /the registered CA has ended/,
    openssl: 'same',
  },
  {
    name: 'a leaf that signs another',
    faults: { middle: { ca: undefined, keyUsage: null } },
    fault: /the CA 1 above it is no CA/,
    openssl: 'same',
  },
  {
    name: 'a CA that may not sign certificates',
    faults: { middle: { keyUsage: digitalSignature } },
    fault: /not of the CA/,
    openssl: 'same',
  },
  {
    name: 'a root that allows no CA below it',
    faults: { root: { ca: { pathLength: 0 } } },
    fault: /deeper below its CA/,
    openssl: 'same',
  },
  {
    name: 'an intermediate CA for servers only',
    faults: { middle: { extendedKeyUsage: [oids.serverAuth] } },
    fault: /the CA 1 above it is not for TLS clients/,
    openssl: 'same',
  },
  {
    name: 'a leaf for servers only',
    faults: { leaf: { extendedKeyUsage: [oids.serverAuth] } },
    fault: /the certificate is not for TLS clients/,
    openssl: 'same',
  },
  {
    name: 'a leaf that may not sign',
    faults: { leaf: { keyUsage: keyCertSign } },
    fault: /another key usage/,
    openssl: 'same',
  },
  {
    name: 'a leaf that is a CA',
    faults: { leaf: { ca: {} } },
    fault: /that of a CA/,
    openssl: 'same',
  },
  {
    name: 'an unknown critical extension in the leaf',
    faults: { leaf: { more: [unknown(true)] } },
    fault: /the certificate has a critical extension/,
    openssl: 'same',
  },
  {
    name: 'an unknown critical extension in a CA',
    faults: { middle: { more: [unknown(true)] } },
    fault: /the CA 1 above it has a critical extension/,
    openssl: 'same',
  },
  {
    name: 'a CA with name constraints',
    faults: { middle: { more: [nameConstraints] } },
    fault: /name constraints/,
    openssl: 'milder',
  },
  {
    name: 'a signature with SHA-1',
    faults: { leaf: { hash: 'SHA-1' } },
    fault: /an algorithm that is not taken/,
    openssl: 'milder',
  },
];

for (const { name, faults, fault, openssl: verdict } of cases) {
  test(`a path to a foreign CA: ${name}`, async (t) => {
    const pems = await pathWith(faults);
    const [leaf, middle, root] = pems.map((pem) => readCertificate(pem));
    const found = pathFault([leaf!, middle!], root!, Date.now());
    if (fault === undefined) t.is(found, undefined);
    else t.regex(found ?? 'none', fault);
    const openssl = opensslFor(t);
    if (openssl === undefined) return;
    const [leafFile = '', middleFile = '', rootFile = ''] = pems.map((pem, at) =>
      openssl.file(`${at}.pem`, pem),
    );
    const args = ['-purpose', 'sslclient', '-CAfile', rootFile, '-untrusted', middleFile];
    const { code } = await openssl.run('verify', ...args, leafFile);
    t.is(code === 0, fault === undefined || verdict === 'milder');
  });
}

test('the length of a path is limited', async (t) => {
  const top = await foreignCertificate({ name: 'root', ca: {} });
  const chain = [top];
  for (let depth = 0; depth < 4; depth++) {
    chain.unshift(await foreignCertificate({ name: `plant ${depth}`, by: chain[0]!, ca: {} }));
  }
  const leafBelow = async (depth: number): Promise<string | undefined> => {
    const above = chain.slice(chain.length - 1 - depth, -1);
    const leaf = await foreignCertificate({ name: 'f1', by: above[0] ?? top });
    const path = [leaf, ...above].map(({ pem }) => readCertificate(pem));
    return pathFault(path, readCertificate(top.pem), Date.now());
  };
  for (const depth of [0, 1, 2, 3]) t.is(await leafBelow(depth), undefined);
  t.is(await leafBelow(4), 'the path is too long');
});

test('certificates that did not issue one another are not a path', async (t) => {
  const [leaf, middle, root] = (await pathWith({})).map((pem) => readCertificate(pem));
  const now = Date.now();
  t.regex(pathFault([leaf!], root!, now) ?? '', /not of the CA behind it/);
  t.regex(pathFault([leaf!, root!], middle!, now) ?? '', /not of the CA behind it/);
  t.regex(pathFault([leaf!, middle!, middle!], root!, now) ?? '', /not of the CA behind it/);
});

test('only a currently valid CA with a supported key type can be registered', async (t) => {
  const fault = async (options: Partial<ForeignOptions>): Promise<string | undefined> =>
    anchorFault(
      readCertificate((await foreignCertificate({ name: 'Maker', ca: {}, ...options })).pem),
      Date.now(),
    );
  t.is(await fault({}), undefined);
  t.is(await fault({ keyType: 'p384' }), undefined);
  t.is(await fault({ keyType: 'rsa2048' }), undefined);
  t.regex((await fault({ ca: undefined })) ?? '', /no CA/);
  t.regex((await fault({ notAfterMs: Date.now() - hourMs / 2 })) ?? '', /ended/);
  t.regex((await fault({ notBeforeMs: Date.now() + hourMs / 2 })) ?? '', /not begun/);
});
