import test from 'ava';
import { csrAttributes } from '../../../certs/csr-attributes.ts';
import { contextTag, decodeDer, tags, type DerNode } from '../../../certs/der.ts';
import { Fields, oidOf, smallNumberOf, wholeBytesOf } from '../../../certs/der-fields.ts';
import { readExtensions } from '../../../certs/extensions.ts';
import { keyTypes } from '../../../certs/key.ts';
import { oids } from '../../../certs/oids.ts';
import { decodeNames, subjectNamesOf } from '../../../certs/subject-names.ts';
import { opensslFor } from '../../support/certs-openssl.ts';

const decode = (der: Buffer): DerNode => decodeDer(der, { maxBytes: 8192 });

test('the attributes request exactly one key type and its signature algorithm', (t) => {
  const wanted: Record<string, [string, string]> = {
    p256: [oids.ecPublicKey, oids.ecdsaWithSha256],
    p384: [oids.ecPublicKey, oids.ecdsaWithSha384],
    ed25519: [oids.ed25519, oids.ed25519],
    rsa2048: [oids.rsaEncryption, oids.sha256WithRsa],
  };
  for (const [keyType, [key, signature]] of Object.entries(wanted)) {
    const list = decode(csrAttributes({ keyType: keyType as 'p256' })).children;
    t.is(oidOf(list[0]!.children[0]!), key);
    t.is(oidOf(list[1]!), signature);
    t.is(list.length, 3);
  }
  // RFC 7030, 4.5.2: the example of a curve.
  const curve = decode(csrAttributes({ keyType: 'p384' })).children[0]!;
  t.is(oidOf(curve.children[1]!.children[0]!), oids.p384);
  const size = decode(csrAttributes({ keyType: 'rsa3072' })).children[0]!;
  t.is(smallNumberOf(size.children[1]!.children[0]!), 3072);
});

test('the template has the structure of RFC 9908', (t) => {
  for (const keyType of keyTypes) {
    const names = subjectNamesOf(['a.example', '10.0.0.1']);
    const list = decode(csrAttributes({ keyType, commonName: 'dev-1', names })).children;
    const attribute = new Fields(list.at(-1)!, tags.sequence, 'attribute');
    t.is(oidOf(attribute.next(tags.oid)), oids.requestTemplate);
    const values = attribute.next(tags.set).children;
    t.is(values.length, 1);
    const template = new Fields(values[0]!, tags.sequence, 'template');
    t.is(smallNumberOf(template.next(tags.integer)), 0);
    const subject = template.next(tags.sequence);
    t.is(subject.children[0]!.children[0]!.children[1]!.content.toString(), 'dev-1');
    const key = template.next(contextTag(0)).children;
    t.is(key.length, keyType.startsWith('rsa') ? 2 : 1);
    if (keyType.startsWith('rsa')) {
      const [modulus, exponent] = decode(wholeBytesOf(key[1]!)).children;
      t.is((modulus!.content.length - 1) * 8, Number(keyType.slice(3)));
      t.is(smallNumberOf(exponent!), 65_537);
    }
    const wanted = template.next(contextTag(1)).children;
    template.end();
    t.is(oidOf(wanted[0]!.children[0]!), oids.extensionRequest);
    const extensions = readExtensions(wanted[0]!.children[1]!.children[0]!);
    t.deepEqual(decodeNames(decode(extensions.get(oids.subjectAltName)!.value), 'refuse'), names);
  }
});

test('without a given name, the template leaves the name to the client', (t) => {
  const list = decode(csrAttributes({ keyType: 'p256' })).children;
  const template = list.at(-1)!.children[1]!.children[0]!;
  const subject = template.children[1]!;
  t.is(oidOf(subject.children[0]!.children[0]!.children[0]!), oids.commonName);
  t.is(subject.children[0]!.children[0]!.children.length, 1);
  t.is(template.children.at(-1)!.content.length, 0);
});

test('openssl reads the structure', async (t) => {
  const openssl = opensslFor(t);
  if (openssl === undefined) return;
  const file = openssl.file(
    'attrs.der',
    csrAttributes({ keyType: 'p256', names: subjectNamesOf(['a.b']) }),
  );
  const { code, stdout } = await openssl.run('asn1parse', '-inform', 'DER', '-in', file);
  t.is(code, 0);
  t.regex(
    stdout,
    /id-ecPublicKey[\s\S]+prime256v1[\s\S]+ecdsa-with-SHA256[\s\S]+Extension Request/,
  );
});
