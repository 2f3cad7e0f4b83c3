/**
 * Who may read a secret file.
 *
 * @module
 */
import { stat } from 'node:fs/promises';
import { FlotillaError } from './errors/flotilla-error.ts';

/** `private`: the owner alone. `group`: the group can read it, too. */
export type SecretAccess = 'private' | 'group';

/**
 * Refuses a secret file that others can read, or that its group can change. A group may read it when
 * the file belongs to root or to the user of this process: so are files that Kubernetes mounts from a
 * Secret (mode 0440, owner root, group `fsGroup`) and credentials of systemd.
 *
 * @throws FlotillaError `file-too-open`
 */
export async function assertSecret(path: string): Promise<SecretAccess> {
  const { mode, uid } = await stat(path);
  const access = secretAccess(mode, uid, process.getuid?.() ?? uid);
  if (access === undefined) {
    throw new FlotillaError('file-too-open', {
      detail: `${path} has mode ${(mode & 0o777).toString(8)}`,
    });
  }
  return access;
}

/** The decision. Undefined when the file must not be used. */
export function secretAccess(mode: number, owner: number, user: number): SecretAccess | undefined {
  if ((mode & 0o077) === 0) return 'private';
  const isReadOnly = (mode & 0o037) === 0;
  return isReadOnly && (owner === 0 || owner === user) ? 'group' : undefined;
}
