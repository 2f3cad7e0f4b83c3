import test from 'ava';
import { writeFile } from 'node:fs/promises';
import { readAdministrator } from '../../../../cli/lib/administrator.ts';
import { identityFiles } from '../../../../core/state-folder.ts';
import { tempFolder } from '../../../support/temp-folder.ts';
import { testCa } from '../../../support/test-ca.ts';

test('a key beside the certificate of another one is a renewal under way, and is waited for', async (t) => {
  const ca = testCa();
  const [before, after] = [0, 1].map(() => ca.issue({ profile: 'admin', commonName: 'admin' }));
  const files = identityFiles(tempFolder(t));
  await writeFile(files.ca, ca.ca);
  await writeFile(files.chain, before!.cert);
  await writeFile(files.key, after!.key);
  const reading = readAdministrator(files.key.slice(0, -'/key.pem'.length));
  const first = await Promise.race([reading, new Promise((resolve) => setImmediate(resolve))]);
  t.is(first, undefined, 'not given as it is');
  await writeFile(files.chain, after!.cert);
  t.deepEqual(await reading, { cert: after!.cert, key: after!.key, ca: ca.ca });
});

test('an administrator that is not there is an error at once', async (t) => {
  await t.throwsAsync(readAdministrator(tempFolder(t)), { code: 'ENOENT' });
});
