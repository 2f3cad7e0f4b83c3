/**
 * A process that renews the identity in a folder many times, each time with a new key. Its arguments are the
 * folder, the number of renewals and a name for the certificates.
 *
 * @module
 */
import { saveIdentity } from '../../core/identity-folder.ts';
import { testCa } from './test-ca.ts';

const [folder = '', count = '0', commonName = ''] = process.argv.slice(2);
const ca = testCa();
for (let left = Number(count); left > 0; left--) {
  const { key, leaf, cert } = ca.issue({ profile: 'device', commonName });
  await saveIdentity(folder, { key, cert: leaf, chain: cert, ca: ca.ca });
}
