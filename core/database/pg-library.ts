/**
 * The client library of PostgreSQL, an optional dependency: loaded only when a database is configured. Its types are
 * stated here as far as they are used, so that the project compiles where the package is not installed.
 *
 * @module
 */
import type { Socket } from 'node:net';
import type { PeerCertificate } from 'node:tls';
import { FlotillaError } from '../errors/flotilla-error.ts';

export interface PgClient {
  connect(): Promise<unknown>;
  query(statement: {
    readonly text: string;
    readonly values: unknown[];
    readonly name?: string;
  }): Promise<{ readonly rows: unknown[] }>;
  end(): Promise<void>;
  on(event: 'error' | 'end', listener: () => void): unknown;
  /** `code` is the SQLSTATE. */
  on(event: 'notice', listener: (notice: { readonly code?: string }) => void): unknown;
}

export interface PgClientOptions {
  /** A host that begins with a slash is the folder of a Unix socket. */
  readonly host: string;
  readonly port?: number;
  readonly database: string | undefined;
  readonly user: string | undefined;
  readonly password?: string;
  readonly application_name?: string;
  readonly connectionTimeoutMillis?: number;
  readonly keepAlive?: boolean;
  readonly stream?: () => Socket;
  readonly ssl?:
    | false
    | {
        readonly ca?: string;
        readonly rejectUnauthorized: boolean;
        readonly checkServerIdentity: (
          name: string,
          certificate: PeerCertificate,
        ) => Error | undefined;
      };
}

export interface PgLibrary {
  readonly Client: new (options: PgClientOptions) => PgClient;
}

const packageName: string = 'pg';

/** @throws FlotillaError `database-package-missing` */
export async function loadPg(): Promise<PgLibrary> {
  try {
    // A cast at the boundary to the library, see above.
    return (await import(packageName)) as PgLibrary;
  } catch (error) {
    throw new FlotillaError('database-package-missing', { cause: error });
  }
}
