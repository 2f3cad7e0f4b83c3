/**
 * Finds the process at the other end of a connection of this machine, by what Linux shows in `/proc`.
 *
 * @module
 */
import { readdir, readFile, readlink } from 'node:fs/promises';
import type { Socket } from 'node:net';

/** @param socket an accepted connection over IPv4 @returns the one of these processes that opened it, if it is one of them */
export async function clientProcess(
  { remoteAddress = '', remotePort = 0, localAddress = '', localPort = 0 }: Socket,
  pids: readonly number[],
): Promise<number | undefined> {
  const own = `${hexOf(remoteAddress, remotePort)} ${hexOf(localAddress, localPort)} `;
  const table = await readFile('/proc/net/tcp', 'ascii');
  const line = table.split('\n').find((one) => one.includes(own));
  const inode = line?.trim().split(/\s+/)[9];
  if (inode === undefined || inode === '0') return undefined;
  for (const pid of pids) if (await hasSocket(pid, inode)) return pid;
  return undefined;
}

/** As in `/proc/net/tcp` of a little-endian machine. */
function hexOf(address: string, port: number): string {
  const bytes = address.split('.').map(Number).reverse();
  const [host, end] = [Buffer.from(bytes).toString('hex'), port.toString(16).padStart(4, '0')];
  return `${host}:${end}`.toUpperCase();
}

async function hasSocket(pid: number, inode: string): Promise<boolean> {
  const folder = `/proc/${pid}/fd`;
  const names = await readdir(folder).catch(() => []);
  const links = await Promise.all(
    names.map((name) => readlink(`${folder}/${name}`).catch(() => '')),
  );
  return links.includes(`socket:[${inode}]`);
}
