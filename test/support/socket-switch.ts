/**
 * A proxy on a Unix socket in front of a PostgreSQL server, which can lose what one side sends.
 *
 * @module
 */
import { once } from 'node:events';
import { chmodSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { tempFolder } from './temp-folder.ts';

/** The name that clients expect. */
const socketName = '.s.PGSQL.5432';

export interface SocketSwitch {
  /** Replaces the folder of the server in a URL. */
  readonly folder: string;
  /** From now on, what this side sends is lost. Resolves when it has sent something. */
  lose(side: 'client' | 'server'): Promise<void>;
  /** Ends all connections; later ones work. */
  cut(): void;
  /** Ends all connections and accepts none any more. */
  end(): void;
}

export async function socketSwitch(t: ExecutionContext, folder: string): Promise<SocketSwitch> {
  const own = tempFolder(t);
  chmodSync(own, 0o755);
  const sockets = new Set<Socket>();
  let lost: 'client' | 'server' | undefined;
  let hold = (): void => undefined;
  const server = createServer((client) => {
    const upstream = connect(join(folder, socketName));
    const pass = (from: Socket, to: Socket, side: typeof lost): void => {
      sockets.add(from);
      from.on('data', (chunk) => {
        if (lost === side) hold();
        else to.write(chunk);
      });
      from.on('error', () => to.destroy());
      from.on('close', () => to.destroy());
    };
    pass(client, upstream, 'client');
    pass(upstream, client, 'server');
  });
  server.listen(join(own, socketName));
  await once(server, 'listening');
  const cut = (): void => {
    lost = undefined;
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  t.teardown(() => {
    server.close();
    cut();
  });
  return {
    folder: own,
    lose(side) {
      lost = side;
      return new Promise((resolve) => (hold = resolve));
    },
    cut,
    end() {
      server.close();
      cut();
    },
  };
}
