import test from 'ava';
import fc from 'fast-check';
import { importParts, type ImportPart } from '../../../../cli/lib/import-batches.ts';
import { csvRecords } from '../../../../enroll/bulk-import/csv.ts';

async function partsOf(
  text: string,
  isCsv: boolean,
  chunkBytes: number,
  rows: number,
): Promise<ImportPart[]> {
  const bytes = Buffer.from(text);
  // eslint-disable-next-line @typescript-eslint/require-await -- a stream
  async function* chunks(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
  }
  const parts: ImportPart[] = [];
  for await (const part of importParts(chunks(), isCsv, rows)) parts.push(part);
  return parts;
}

test('the records of the parts are those of the file, with their line numbers, however it is cut', async (t) => {
  const field = fc.string({
    unit: fc.constantFrom('a', '"', ',', '\n', '\r\n', 'é'),
    maxLength: 6,
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(field, field), { maxLength: 12 }),
      fc.constantFrom('\n', '\r\n'),
      fc.boolean(),
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 4 }),
      async (records, end, endsLast, chunkBytes, rows) => {
        const line = (fields: readonly string[]): string =>
          fields.map((one) => `"${one.replaceAll('"', '""')}"`).join(',');
        const all = [['id', 'x'], ...records].map(line).join(end) + (endsLast ? end : '');
        const parts = await partsOf(all, true, chunkBytes, rows);
        const read = parts.flatMap(({ body, lineOffset }) =>
          [...csvRecords(body.toString('utf8'))]
            .slice(1)
            .map((record) => ({ line: record.line + lineOffset, fields: [...record.fields] })),
        );
        const whole = [...csvRecords(all)]
          .slice(1)
          .map((one) => ({ line: one.line, fields: [...one.fields] }));
        t.deepEqual(read, whole);
      },
    ),
    { numRuns: 200 },
  );
});

test('unquoted text with quotes in it is cut as the service reads it', async (t) => {
  const text = 'id,x\na,5" pipe\n"b""",\nc,"2\n3"\n';
  const parts = await partsOf(text, true, 3, 1);
  t.deepEqual(
    parts.map(({ body, lineOffset }) => [
      body.toString().split('\n').slice(1).join('\n'),
      lineOffset,
    ]),
    [
      ['a,5" pipe\n', 0],
      ['"b""",\n', 1],
      ['c,"2\n3"\n', 2],
    ],
  );
});

test('JSON lines are cut at line ends, and a file without rows is sent for its column names', async (t) => {
  const parts = await partsOf('{"id":"a"}\n\n{"id":"b"}', false, 4, 2);
  t.deepEqual(
    parts.map(({ body, lineOffset }) => [body.toString(), lineOffset]),
    [
      ['{"id":"a"}\n\n', 0],
      ['{"id":"b"}', 2],
    ],
  );
  t.is((await partsOf('id,group', true, 5, 2))[0]?.body.toString(), 'id,group\n');
  t.is((await partsOf('', true, 5, 2)).length, 1);
  const endless = `id\n"${'x'.repeat(1_100_000)}`;
  await t.throwsAsync(partsOf(endless, true, 65_536, 10), { instanceOf: RangeError });
});
