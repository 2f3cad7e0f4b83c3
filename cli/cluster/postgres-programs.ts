/**
 * The programs of PostgreSQL on this machine, and the user that runs them.
 *
 * @module
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';

/** Where Debian installs the servers of each version. */
const debianVersions = '/usr/lib/postgresql';

export interface PostgresPrograms {
  readonly initdb: string;
  readonly postgres: string;
  readonly pgCtl: string;
}

/** A user of the system. */
export interface SystemUser {
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/**
 * Finds the programs in the folders of PATH and at Debian's places, there the newest first.
 *
 * @param version the major version of an existing database, which no other one can open
 * @throws FlotillaError `cluster-postgres-missing`
 */
export function postgresPrograms(path: string, version?: string): PostgresPrograms {
  const named = path.split(delimiter).filter((folder) => folder.startsWith('/'));
  const debian = debianFolders(version);
  const folders = version === undefined ? [...named, ...debian] : [...debian, ...named];
  const folder = folders.find((one) =>
    ['initdb', 'postgres', 'pg_ctl'].every((name) => existsSync(join(one, name))),
  );
  if (folder === undefined) throw new FlotillaError('cluster-postgres-missing');
  return {
    initdb: join(folder, 'initdb'),
    postgres: join(folder, 'postgres'),
    pgCtl: join(folder, 'pg_ctl'),
  };
}

function debianFolders(version: string | undefined): readonly string[] {
  try {
    return readdirSync(debianVersions)
      .filter((name) => version === undefined || name === version)
      .sort((one, other) => Number(other) - Number(one))
      .map((name) => join(debianVersions, name, 'bin'));
  } catch {
    return [];
  }
}

/**
 * The user for the server, which refuses to run as root.
 *
 * @returns undefined: the user of this process
 * @throws FlotillaError `cluster-postgres-user`
 */
export function postgresUser(): SystemUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const user = systemUser(readFileSync('/etc/passwd', 'utf8'), 'postgres');
  if (user === undefined) throw new FlotillaError('cluster-postgres-user');
  return user;
}

/** Finds a user in the text of /etc/passwd. */
function systemUser(passwd: string, name: string): SystemUser | undefined {
  const line = passwd.split('\n').find((one) => one.startsWith(`${name}:`));
  const [, , uid, gid, , home] = line?.split(':') ?? [];
  if (home === undefined || !existsSync(home)) return undefined;
  return { uid: Number(uid), gid: Number(gid), home };
}
