import test from 'ava';
import fc from 'fast-check';
import { isFlotillaError } from '../../../../core/errors/flotilla-error.ts';
import { csvRecords } from '../../../../enroll/bulk-import/csv.ts';
import { csvRows, jsonRows } from '../../../../enroll/bulk-import/import-rows.ts';

test('CSV that follows RFC 4180 is read correctly, whatever the fields contain', (t) => {
  const field = fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r\n', ' ', 'é') });
  fc.assert(
    fc.property(
      fc.array(fc.array(field, { minLength: 2, maxLength: 4 }), { minLength: 1 }),
      fc.constantFrom('\n', '\r\n'),
      (records, end) => {
        const text = records
          .map((fields) => fields.map((one) => `"${one.replaceAll('"', '""')}"`).join(',') + end)
          .join('');
        t.deepEqual(
          [...csvRecords(text)].map(({ fields }) => [...fields]),
          records,
        );
      },
    ),
  );
});

test('a record has the number of its first line, also after line breaks in quotes', (t) => {
  const records = [...csvRecords('a,b\n"x\ny",2\n\n3,4')];
  t.deepEqual(
    records.map(({ line }) => line),
    [1, 2, 5],
  );
});

test('invalid rows have a fault and a line number, and the others are read', (t) => {
  const rows = [...csvRows('id,attr:x\nok,1\nno good,2\ntoo,3,4\nlast,\n')];
  t.deepEqual(
    rows.map(({ line, row }) => [line, row?.id]),
    [
      [2, 'ok'],
      [3, undefined],
      [4, undefined],
      [5, 'last'],
    ] as never,
  );
  t.deepEqual(rows[0]?.row?.attributes, { x: '1' });
  t.deepEqual(
    [...jsonRows('{"id":"a"}\n\n{"id":"b","what":1}\n[')].map(({ line, fault }) => [
      line,
      fault !== '',
    ]),
    [
      [1, false],
      [3, true],
      [4, true],
    ],
  );
});

test('a first line with unknown or no columns is refused', (t) => {
  for (const text of ['', 'group\n', 'id,color\n', 'id,id\n']) {
    t.true(
      isFlotillaError(
        t.throws(() => [...csvRows(text)]),
        'request-invalid',
      ),
      text,
    );
  }
});
