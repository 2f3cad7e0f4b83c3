/** Hostile text in messages and in fields. @module */
import test from 'ava';
import fc from 'fast-check';
import { invisible, printable, visible } from '../../../core/escape.ts';

test('hostile text in a message is quoted, short, and contains nothing that a terminal interprets', (t) => {
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

test('hostile text in a field is visible and never longer than the field', (t) => {
  t.is(visible('plain', 64), 'plain');
  t.is(visible('a/b\0"c"', 64), 'a/b\\u0000"c"');
  t.is(visible('\\u0000', 64), '\\\\u0000', 'what looks like an escape is one');
  t.is(visible('abcdef', 6), 'abcdef');
  t.is(visible('abcdefg', 6), 'abcde…');
  t.is(visible('abc\0', 6), 'abc…', 'an escape is never cut');
  t.is(visible('abcd\u{1f600}x', 6), 'abcd…', 'nor is a character of two code units');
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 1, max: 20 }), (text, max) => {
      const shown = visible(text, max);
      t.notRegex(shown, invisible);
      t.true(shown.isWellFormed());
      t.true(shown.length <= max);
    }),
  );
});
