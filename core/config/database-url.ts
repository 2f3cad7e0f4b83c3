/**
 * The address of a PostgreSQL database: `postgres://user@db1:5432,db2/flotilla?sslmode=verify-full`.
 *
 * Several hosts are tried in turn. `?host=/run/postgresql` is the folder of a Unix socket. A password is not part of it,
 * because settings are printed and logged.
 *
 * @module
 */

const tlsModes = ['disable', 'require', 'verify-ca', 'verify-full'] as const;

export interface DatabaseAddress {
  /** A host that begins with a slash is the folder of a Unix socket. */
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  /** Undefined: PGUSER, or the user of the process. */
  readonly user: string | undefined;
  readonly database: string;
  readonly tls: (typeof tlsModes)[number];
}

const portUsual = 5432;
const hostsMax = 16;
const urlForm = /^postgres(?:ql)?:\/\/(?:([^@/?]*)@)?([^/?@]*)\/([^/?@]+)(?:\?(.*))?$/;
const hostForm = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/;

/**
 * @param text must not be part of a message: it may contain a password by mistake
 * @throws Error that says what is wrong
 */
export function parseDatabaseUrl(text: string): DatabaseAddress {
  const [, user, hostList = '', database = '', query = ''] = urlForm.exec(text) ?? [];
  if (database === '') throw new Error('Expected postgres://user@host:5432/database');
  if (user?.includes(':') === true) {
    throw new Error('A password does not belong here: use databasePasswordFile or PGPASSFILE');
  }
  const parameters = new URLSearchParams(query);
  for (const name of parameters.keys()) {
    if (name !== 'sslmode' && name !== 'host')
      throw new Error('Only sslmode and host may follow ?');
  }
  const folder = parameters.get('host') ?? undefined;
  if (folder !== undefined && (!folder.startsWith('/') || hostList !== '')) {
    throw new Error('host is the folder of a Unix socket, in place of a name');
  }
  const hosts =
    folder === undefined ? hostList.split(',').map(hostOf) : [{ host: folder, port: portUsual }];
  if (hosts.length > hostsMax) throw new Error(`Expected at most ${hostsMax} hosts`);
  return {
    hosts,
    user: user === undefined || user === '' ? undefined : decodeURIComponent(user),
    database: decodeURIComponent(database),
    tls: tlsOf(parameters.get('sslmode'), folder !== undefined),
  };
}

function hostOf(text: string): { host: string; port: number } {
  const [, address, name, port = String(portUsual)] = hostForm.exec(text) ?? [];
  const host = address ?? name;
  if (host === undefined || Number(port) > 65_535) throw new Error('Expected host or host:port');
  return { host, port: Number(port) };
}

/** Other modes than these would use TLS only if the server wants to. */
function tlsOf(mode: string | null, isLocal: boolean): DatabaseAddress['tls'] {
  if (mode === null) return isLocal ? 'disable' : 'verify-full';
  const known = tlsModes.find((one) => one === mode);
  if (known === undefined) throw new Error(`sslmode is one of ${tlsModes.join(', ')}`);
  return known;
}
