import test from 'ava';
import fc from 'fast-check';
import { decodeDer } from '../../../certs/der.ts';
import {
  decodeNames,
  encodeNames,
  isDnsName,
  isEmptyNames,
  noNames,
  plainNames,
  subjectNamesMax,
  subjectNamesOf,
} from '../../../certs/subject-names.ts';

test('texts become names of the right type, each in one form', (t) => {
  const texts = [
    'Host.Example.',
    'localhost',
    '10.0.0.1',
    '2001:DB8:0:0::1',
    '::1',
    'urn:dev:1',
    'https://a.example/x',
    'host.example',
    'my_box',
  ];
  t.deepEqual(subjectNamesOf(texts), {
    dns: ['host.example', 'localhost', 'my_box'],
    ip: ['10.0.0.1', '2001:db8::1', '::1'],
    uri: ['urn:dev:1', 'https://a.example/x'],
  });
  t.true(isEmptyNames(subjectNamesOf([])));
  t.deepEqual(plainNames(subjectNamesOf(['b', '10.0.0.1', 'urn:a:b', 'a'])), [
    '10.0.0.1',
    'a',
    'b',
    'urn:a:b',
  ]);
});

test('invalid names are rejected', (t) => {
  const bad = [
    '',
    '.',
    'a..b',
    '-a.b',
    'a-.b',
    '*.example',
    'a b',
    'a/b',
    'é.example',
    'x'.repeat(64),
    `${'a.'.repeat(130)}a`,
    'fe80::1%eth0',
    'urn:a b',
    'urn:é',
    '1.2.3.4.5:',
    'a\u0000b',
    'https://',
  ];
  for (const text of bad) {
    t.throws(() => subjectNamesOf([text]), { code: 'subject-name-invalid' }, text);
  }
  const many = Array.from({ length: subjectNamesMax + 1 }, (_, index) => `h${index}`);
  t.throws(() => subjectNamesOf(many), { code: 'subject-name-invalid' });
  t.notThrows(() => subjectNamesOf(many.slice(1)));
  t.throws(() => encodeNames({ ...noNames, dns: ['*'] }), { code: 'subject-name-invalid' });
  t.throws(() => encodeNames({ ...noNames, ip: ['nowhere'] }), { code: 'subject-name-invalid' });
  t.throws(() => encodeNames({ ...noNames, uri: ['nowhere'] }), { code: 'subject-name-invalid' });
});

test('any names can be encoded and decoded', (t) => {
  const texts = fc.uniqueArray(
    fc.oneof(
      fc.domain().filter((name) => isDnsName(name)),
      fc.ipV4(),
      fc.ipV6(),
      fc.uuid().map((id) => `urn:uuid:${id}`),
    ),
    { minLength: 1, maxLength: 20 },
  );
  fc.assert(
    fc.property(texts, (list) => {
      const names = subjectNamesOf(list);
      t.deepEqual(
        decodeNames(decodeDer(encodeNames(names), { maxBytes: 16_384 }), 'refuse'),
        names,
      );
      t.deepEqual(subjectNamesOf(plainNames(names)).ip.toSorted(), names.ip.toSorted());
    }),
  );
});
