// The folder that "flotilla device enroll" writes: reads it and replaces its content atomically.
//
//   key.pem, cert.pem, chain.pem, ca.pem  -> .current/...
//   .current                              -> .identity-1-3f9a60c2b1d4   (the current version)
import { randomBytes, X509Certificate } from 'node:crypto';
import { cpSync, mkdirSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { closeSync, fsyncSync, openSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Reads all files of one version. The symlink is resolved once, so that key and certificate match. */
export function readIdentity(folder) {
  const version = realpathSync(join(folder, '.current'));
  const read = (name) => readFileSync(join(version, name), 'utf8');
  const identity = { key: read('key.pem'), chain: read('chain.pem'), ca: read('ca.pem') };
  const certificate = new X509Certificate(identity.chain);
  return {
    ...identity,
    id: /^CN=(.+)$/m.exec(certificate.subject)[1],
    validFromMs: Date.parse(certificate.validFrom),
    validToMs: Date.parse(certificate.validTo),
  };
}

/** Writes a new version beside the current one and then replaces the symlink `.current`. */
export function saveIdentity(folder, { key, certificate, chain, ca }) {
  const numbers = readdirSync(folder).map((name) =>
    Number(/^\.identity-(\d+)-/.exec(name)?.[1] ?? 0),
  );
  const version = `.identity-${Math.max(...numbers) + 1}-${randomBytes(6).toString('hex')}`;
  mkdirSync(join(folder, version), { mode: 0o700 });
  const files = { 'key.pem': key, 'cert.pem': certificate, 'chain.pem': chain, 'ca.pem': ca };
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(folder, version, name), text, { mode: 0o600, flush: true });
  }
  // Where the device was enrolled: "flotilla device renew" needs it.
  cpSync(join(folder, '.current', 'enrollment.json'), join(folder, version, 'enrollment.json'));
  syncFolder(join(folder, version));
  const link = join(folder, `.next-${version}`);
  symlinkSync(version, link);
  renameSync(link, join(folder, '.current'));
  syncFolder(folder);
}

function syncFolder(path) {
  const descriptor = openSync(path, 'r');
  fsyncSync(descriptor);
  closeSync(descriptor);
}
