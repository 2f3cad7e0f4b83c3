/**
 * TLS servers of other projects, started with a configuration on a free port.
 *
 * @module
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';

/** The code blocks of a Markdown page, by their language; each language is used once. */
export function configurationsOf(page: string): ReadonlyMap<string, string> {
  const blocks = readFileSync(page, 'utf8').matchAll(/^```(\w+)\n(.*?)^```$/gms);
  return new Map(Array.from(blocks, ([, language = '', text = '']) => [language, text]));
}

/** A port that was free a moment ago, for programs that cannot choose one and report it. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export interface ClientFiles {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/** What a server answers to a client certificate: the status and the body, or the error of the connection. */
export function getWith(port: number, { cert, key, ca }: ClientFiles): Promise<string> {
  return new Promise((resolve) => {
    const call = request(
      { host: '127.0.0.1', port, path: '/', servername: 'localhost', cert, key, ca, agent: false },
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (body += chunk));
        response.on('end', () => resolve(`${response.statusCode} ${body.trim()}`));
        response.on('error', (error) => resolve(error.message));
      },
    );
    call.on('error', (error) => resolve(error.message));
    call.end();
  });
}

/** Writes a configuration, with `folder` in the place of /etc/flotilla. @returns its path */
export function writeConfiguration(folder: string, name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text.replaceAll('/etc/flotilla', folder));
  return path;
}
