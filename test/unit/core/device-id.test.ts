/** The grammar of device ids. @module */
import test from 'ava';
import fc from 'fast-check';
import { deviceIdMaxChars, isDeviceId, parseDeviceId } from '../../../core/device-id.ts';
import { printable } from '../../../core/escape.ts';
import { isFlotillaError } from '../../../core/errors/flotilla-error.ts';
import { topicNameFault } from '../../../core/topic.ts';

const good = ['a', '0', 'pump-7', 'A.b_c:d-e', 'urn:dev:mac:0024befffe804ff1', 'x'.repeat(128)];

const bad = [
  '',
  ' ',
  '.',
  '-a',
  '_a',
  ':a',
  '.hidden',
  'a b',
  'a/b',
  'a/../b',
  'a+',
  '+',
  '#',
  'a#',
  '$SYS',
  'a$',
  'a\0',
  '\0',
  'a\n',
  '\na',
  'a\r\nb',
  'a\t',
  'a%2Fb',
  'a\\b',
  "a'b",
  'a"b',
  'a,b',
  'a=b',
  'a@b',
  'é',
  'ａ', // full-width a
  'а', // Cyrillic a
  'a\u200b', // zero-width space
  '\u202ea', // right-to-left override
  '\ufeffa',
  'a\u0301',
  '\ud800',
  'İ',
  '١', // Arabic digit
  'x'.repeat(129),
  'x'.repeat(1_000_000),
];

for (const text of good) {
  test(`${printable(text, 32)} is a device id`, (t) => {
    t.true(isDeviceId(text));
    t.true(parseDeviceId(text) === text);
  });
}

for (const text of bad) {
  test(`${printable(text, 32)}, ${text.length} long, is refused as a device id`, (t) => {
    t.false(isDeviceId(text));
    const error = t.throws(() => parseDeviceId(text));
    t.true(isFlotillaError(error, 'device-id-invalid'));
    t.true(error.message.length < 1000, 'a long text is truncated');
  });
}

test('a device id follows exactly the documented grammar', (t) => {
  const first = new Set('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789');
  const later = new Set([...first, '.', '_', ':', '-']);
  const byHand = (text: string): boolean =>
    text.length >= 1 &&
    text.length <= deviceIdMaxChars &&
    first.has(text[0]!) &&
    Array.from(text).every((character) => later.has(character));
  const nearly = fc.string({ unit: fc.constantFrom('a', 'Z', '5', '.', ':', '-', '_', '/', '\n') });
  fc.assert(
    fc.property(fc.oneof(nearly, fc.string({ unit: 'binary', maxLength: 140 })), (text) => {
      t.is(isDeviceId(text), byHand(text));
    }),
  );
});

test('every device id is one level of a topic, whatever surrounds it', (t) => {
  const id = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/);
  fc.assert(
    fc.property(id, (text) => {
      const topic = `devices/${parseDeviceId(text)}/state`;
      t.is(topicNameFault(topic), undefined);
      t.is(topic.split('/').length, 3);
    }),
  );
});
