/** Where things are. @module */
import test from 'ava';
import { identityFiles, stateFolder } from '../../../core/state-folder.ts';

test('the documented files have their documented names', (t) => {
  const state = stateFolder('/s');
  t.is(state.root, '/s');
  t.is(state.config, '/s/flotilla.yaml');
  t.is(state.policy, '/s/policy.yaml');
  t.is(state.ca.rootCert, '/s/ca/root.pem');
  t.is(state.ca.issuerCert, '/s/ca/issuer.pem');
  t.deepEqual(identityFiles(state.admin), {
    key: '/s/admin/key.pem',
    cert: '/s/admin/cert.pem',
    chain: '/s/admin/chain.pem',
    ca: '/s/admin/ca.pem',
  });
});

test('every path is inside the folder and unique', (t) => {
  const { root, ...rest } = stateFolder('/s');
  const paths = (value: unknown): string[] =>
    typeof value === 'string' ? [value] : Object.values(value as object).flatMap(paths);
  const all = paths(rest);
  t.true(all.length > 15);
  for (const path of all) t.true(path.startsWith(`${root}/`), path);
  t.is(new Set(all).size, all.length);
});
