/** The grammar of identities, and what hostile text looks like in a message. @module */
import test from 'ava';
import fc from 'fast-check';
import {
  deviceIdMaxChars,
  invisible,
  isDeviceId,
  parseDeviceId,
  printable,
  visible,
} from '../../../core/device-id.ts';
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
    t.true(error.message.length < 1000, 'a long text is not repeated in full');
  });
}

test('a device id is exactly what the documented grammar says', (t) => {
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

test('every device id is one level of a topic, whatever stands around it', (t) => {
  const id = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/);
  fc.assert(
    fc.property(id, (text) => {
      const topic = `devices/${parseDeviceId(text)}/state`;
      t.is(topicNameFault(topic), undefined);
      t.is(topic.split('/').length, 3);
    }),
  );
});

test('hostile text in a message is quoted, short, and can command no terminal', (t) => {
  t.is(printable('plain'), '"plain"');
  t.is(printable('a"b'), '"a\\"b"');
  t.is(printable('\u001b[2J'), '"\\u001b[2J"');
  t.is(printable('\u009b2J'), '"\\u009b2J"');
  t.is(printable('\u007f'), '"\\u007f"');
  t.is(printable('\u202egnp'), '"\\u202egnp"');
  t.is(printable('\u2028'), '"\\u2028"');
  t.is(printable('\u{e0041}'), '"\\udb40\\udc41"');
  t.is(printable('\ud83d\ude00'), '"\u{1f600}"');
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const shown = printable(text, 16);
      t.notRegex(shown, /[\p{Cc}\p{Cf}\p{Cs}]/u);
      t.true(shown.length <= 2 + 17 * 6);
      if (text.length <= 16) t.is(JSON.parse(shown), text);
    }),
  );
});

test('hostile text in a field is visible, and never longer than the field', (t) => {
  t.is(visible('plain', 64), 'plain');
  t.is(visible('a/b\0"c"', 64), 'a/b\\u0000"c"');
  t.is(visible('\\u0000', 64), '\\\\u0000', 'what looks like an escape is one');
  t.is(visible('abcdef', 6), 'abcdef');
  t.is(visible('abcdefg', 6), 'abcde…');
  t.is(visible('abc\0', 6), 'abc…', 'an escape is whole or not there');
  t.is(visible('abcd\u{1f600}x', 6), 'abcd…', 'so is a character of two units');
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 1, max: 20 }), (text, max) => {
      const shown = visible(text, max);
      t.notRegex(shown, invisible);
      t.true(shown.isWellFormed());
      t.true(shown.length <= max);
    }),
  );
});
