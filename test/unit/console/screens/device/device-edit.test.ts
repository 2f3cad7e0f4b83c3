import test from 'ava';
import {
  attributeChanges,
  changedFields,
  wrongLine,
} from '../../../../../console/screens/device/device-edit.ts';

test('attributes that are left out are removed, and lines without a name are pointed at', (t) => {
  t.deepEqual(attributeChanges({ site: 'Oslo', old: 'x' }, 'site = Bergen\n\nnote=a=b'), {
    site: 'Bergen',
    old: null,
    note: 'a=b',
  });
  t.is(wrongLine('site=Oslo\n\nnonsense\n'), 'nonsense');
  t.is(wrongLine('site=Oslo'), undefined);
});

test('a conflict names the fields that are different', (t) => {
  const one = { group: 'a', role: '', attributes: 'x=1' };
  t.deepEqual(changedFields(one, { ...one, group: 'b', attributes: '' }), ['group', 'attributes']);
  t.deepEqual(changedFields(one, { ...one }), []);
});
