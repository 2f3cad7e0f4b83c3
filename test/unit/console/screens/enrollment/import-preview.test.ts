import test from 'ava';
import { previewImport } from '../../../../../console/screens/enrollment/import-preview.ts';

test('the preview reads quoted cells, and names the lines that would be refused', (t) => {
  const preview = previewImport(
    'id,note\r\na,"x, ""y""\r\nz"\r\n\r\nbad id,n\r\na,again\r\nb,"",\n',
  );
  t.deepEqual(preview.columns, ['id', 'note']);
  t.deepEqual(preview.rows, [
    ['a', 'x, "y"\r\nz'],
    ['bad id', 'n'],
    ['a', 'again'],
    ['b', '', ''],
  ]);
  t.is(preview.count, 4);
  t.deepEqual(preview.faults, ['Line 5: "bad id" is not a device id.', 'Line 6: a appears twice.']);
});

test('files without a column id, empty files and wrong quotation marks', (t) => {
  t.deepEqual(previewImport('name\na').faults, ['The first line needs a column "id".']);
  t.is(previewImport('').count, 0);
  t.deepEqual(previewImport('id\n"a"b\nc').faults, ['Line 2: ""a"b" is not a device id.']);
  t.deepEqual(previewImport('id,x\na,').rows, [['a', '']]);
});
