import test from 'ava';
import { accessFaults } from '../../../../core/integrity/file-access.ts';

const user = { owner: 1000, group: 1000 };

function codes(name: string, mode: number, uid = 1000, gid = 1000, isFolder = false): string[] {
  return accessFaults(name, { mode, uid, gid, isFolder }, user).map(({ code }) => code);
}

test('secrets are for their owner, and public files may be read by everybody', (t) => {
  t.deepEqual(codes('ca/root.key.pem', 0o600), []);
  t.deepEqual(codes('ca/root.key.pem', 0o640), []);
  t.deepEqual(codes('ca/root.key.pem', 0o644), ['file-too-open']);
  t.deepEqual(codes('enroll/registry/devices/00.json', 0o604), ['file-too-open']);
  t.deepEqual(codes('admin/.identity-1-0123456789ab/cert.pem', 0o644), []);
  t.deepEqual(codes('policy.yaml', 0o644), []);
  t.deepEqual(codes('broker', 0o700, 1000, 1000, true), []);
  t.deepEqual(codes('broker', 0o701, 1000, 1000, true), ['file-too-open']);
});

test('nobody else may change a file', (t) => {
  t.deepEqual(codes('policy.yaml', 0o664), ['file-writable-by-others']);
  t.deepEqual(codes('ca/root.pem', 0o646), ['file-writable-by-others']);
  t.deepEqual(codes('ca/root.key.pem', 0o666), ['file-writable-by-others']);
  t.deepEqual(codes('', 0o770, 1000, 1000, true), ['file-writable-by-others']);
});

test('files belong to the owner of the state folder, or the system has mounted them', (t) => {
  t.deepEqual(codes('admin/key.pem', 0o600, 0, 0), ['file-owner-differs']);
  t.deepEqual(codes('ca/passphrase', 0o440, 0, 1000), []);
  t.deepEqual(codes('policy.yaml', 0o644, 0, 0), []);
  // A volume of Kubernetes with fsGroup.
  t.deepEqual(codes('', 0o2775, 0, 1000, true), []);
  t.deepEqual(codes('', 0o2775, 0, 4000, true), ['file-writable-by-others']);
});
