/**
 * A Unix socket in `run/` of the state folder, through which a command asks a running service for what only its own
 * process can do. Only the user of the service can open it. One request and one response, each a line of JSON.
 *
 * @module
 */
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { chmod, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { basename, dirname, resolve as absolute } from 'node:path';
import { z } from 'zod';
import { secretFileMode } from '../../core/atomic-file.ts';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';

const requestSchema = z.strictObject({
  /** Copies the session store of the broker to this new file. */
  copyStore: z.string().min(1).max(4096),
});
const responseSchema = z.object({
  done: z.boolean(),
  fault: z.string().optional(),
});

const lineMaxChars = 16 * 1024;
const connectionsMax = 8;
/** The address of a Unix socket has at most 108 bytes, with a zero at the end. */
const pathMaxBytes = 107;
const requestTimeoutMs = 10_000;

export interface ControlHandlers {
  /** @returns false when there is no store on the disk */
  copyStore(path: string): Promise<boolean>;
}

/**
 * Listens until the returned function is called.
 *
 * @param path replaces a socket that an earlier process has left
 */
export async function openControlSocket(
  path: string,
  handlers: ControlHandlers,
): Promise<() => Promise<void>> {
  await rm(path, { force: true });
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    socket.setTimeout(requestTimeoutMs, () => socket.destroy());
    void respond(socket, handlers);
  });
  server.maxConnections = connectionsMax;
  await withShortPath(path, (short) => listen(server, short));
  await chmod(path, secretFileMode);
  return async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close').catch(() => undefined);
    await rm(path, { force: true });
  };
}

/**
 * Asks the service behind a socket to copy the session store of its broker.
 *
 * @returns false when there is no store on the disk
 * @throws FlotillaError `backup-failed`
 */
export async function requestStoreCopy(socketPath: string, target: string): Promise<boolean> {
  try {
    const line = await withShortPath(socketPath, async (short) => {
      const socket = connect(short);
      await once(socket, 'connect');
      try {
        const response = readLine(socket);
        socket.write(`${JSON.stringify({ copyStore: absolute(target) })}\n`);
        return await response;
      } finally {
        socket.destroy();
      }
    });
    const { done, fault } = responseSchema.parse(JSON.parse(line));
    if (fault !== undefined) throw new Error(fault);
    return done;
  } catch (error) {
    throw new FlotillaError('backup-failed', {
      detail: `the broker did not copy its store (${socketPath}): ${messageOf(error)}`,
      cause: error,
    });
  }
}

async function respond(socket: Socket, handlers: ControlHandlers): Promise<void> {
  let response: z.infer<typeof responseSchema>;
  try {
    const { copyStore } = requestSchema.parse(JSON.parse(await readLine(socket)));
    // A large store takes a while.
    socket.setTimeout(0);
    response = { done: await handlers.copyStore(copyStore) };
  } catch (error) {
    response = { done: false, fault: messageOf(error) };
  }
  socket.end(`${JSON.stringify(response)}\n`);
}

function readLine(socket: Socket): Promise<string> {
  let text = '';
  socket.setEncoding('utf8');
  return new Promise((resolve, reject) => {
    socket.on('data', (chunk: string) => {
      text += chunk;
      const end = text.indexOf('\n');
      if (end !== -1) resolve(text.slice(0, end));
      else if (text.length > lineMaxChars) reject(new Error('the line is too long'));
    });
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('the connection ended')));
  });
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((done, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      done();
    });
  });
}

/** Calls with a path that fits into a socket address: if necessary by the number of the opened folder. */
async function withShortPath<T>(path: string, call: (short: string) => Promise<T>): Promise<T> {
  if (Buffer.byteLength(path) <= pathMaxBytes) return call(path);
  const folder = openSync(dirname(path), 'r');
  try {
    return await call(`/proc/self/fd/${folder}/${basename(path)}`);
  } finally {
    closeSync(folder);
  }
}
