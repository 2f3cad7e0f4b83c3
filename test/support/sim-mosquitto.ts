/**
 * A real Mosquitto that requires client certificates, and a folder with certificates for a fleet: a
 * target of the simulator other than Flotilla.
 *
 * @module
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Authority, createRoot } from '../../certs/authority.ts';
import { generateKeySync, privateKeyPem, spkiOf, type KeyType } from '../../certs/key.ts';
import { subjectNamesOf } from '../../certs/subject-names.ts';
import { systemClock } from '../../core/clock.ts';

const dayMs = 86_400_000;

/** Whether Mosquitto is installed. */
export function hasMosquitto(): boolean {
  return spawnSync('mosquitto', ['-h']).error === undefined;
}

export interface TestFolder {
  readonly folder: string;
  readonly ca: string;
  /** Issues a certificate into the folder: `{name}/key.pem` and `{name}/chain.pem`. */
  add(
    name: string,
    profile?: 'device' | 'service' | 'server',
  ): Promise<{ key: string; chain: string }>;
  /** Issues a certificate in memory only. */
  issue(name: string, keyType: KeyType): { key: string; chain: string };
  close(): Promise<void>;
}

/** Creates a folder with its own CA and certificates for these devices and an observer. */
export async function certificateFolder(ids: readonly string[]): Promise<TestFolder> {
  const folder = await mkdtemp(join(tmpdir(), 'flotilla-sim-'));
  const key = generateKeySync('p256');
  const root = createRoot({ commonName: 'test', validityMs: 30 * dayMs, key, clock: systemClock });
  const authority = new Authority({ key, certificate: root.der, clock: systemClock });
  const issue = (
    name: string,
    keyType: KeyType,
    profile: 'device' | 'service' | 'server' = 'device',
  ): { key: string; chain: string } => {
    const own = generateKeySync(keyType);
    const issued = authority.issue({
      spki: spkiOf(own),
      profile,
      commonName: name,
      validityMs: 7 * dayMs,
      ...(profile === 'server' ? { names: subjectNamesOf(['localhost', '127.0.0.1']) } : {}),
    });
    return { key: privateKeyPem(own), chain: issued.pem };
  };
  const add: TestFolder['add'] = async (name, profile = 'device') => {
    const identity = issue(name, 'p256', profile);
    await mkdir(join(folder, name), { mode: 0o700 });
    await writeFile(join(folder, name, 'key.pem'), identity.key, { mode: 0o600 });
    await writeFile(join(folder, name, 'chain.pem'), identity.chain);
    return identity;
  };
  await writeFile(join(folder, 'ca.pem'), root.pem);
  for (const id of ids) await add(id);
  await add('observer', 'service');
  return {
    folder,
    ca: root.pem,
    add,
    issue,
    close: () => rm(folder, { recursive: true, force: true }),
  };
}

export interface TestBroker {
  readonly host: string;
  readonly port: number;
  readonly pid: number;
  close(): Promise<void>;
}

/** Starts Mosquitto with this CA, as the head of examples/plans/mosquitto.yaml says. The user name is the certificate's CN, its topics are `devices/{CN}/#`. */
export async function startMosquitto(folder: TestFolder): Promise<TestBroker> {
  await folder.add('server', 'server');
  const port = await freePort();
  const at = (name: string): string => join(folder.folder, name);
  const { conf, acl } = await planHead();
  await writeFile(at('acl'), acl);
  await writeFile(
    at('mosquitto.conf'),
    [
      conf
        .replace('listener 8883', `listener ${port} 127.0.0.1`)
        .replaceAll('certs/', `${folder.folder}/`)
        .replace('acl_file acl', `acl_file ${at('acl')}`),
      'allow_anonymous false',
      'persistence false',
      'user root',
      'max_queued_messages 0',
      'log_type error',
      '',
    ].join('\n'),
  );
  const child: ChildProcess = spawn('mosquitto', ['-c', at('mosquitto.conf')], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  await untilListening(port);
  return {
    host: '127.0.0.1',
    port,
    pid: child.pid ?? 0,
    close: async () => {
      child.kill();
      await ended;
    },
  };
}

/** The files that the head of the plan for Mosquitto contains. */
async function planHead(): Promise<{ conf: string; acl: string }> {
  const text = await readFile('examples/plans/mosquitto.yaml', 'utf8');
  const [, conf = '', acl = ''] =
    /^# mosquitto\.conf[^]*?:\n([^]+?)^# acl:\n([^]+?)^\w/m.exec(text) ?? [];
  const plain = (lines: string): string => lines.replaceAll(/^# {3}/gm, '');
  return { conf: plain(conf), acl: plain(acl) };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function untilListening(port: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const socket = connect(port, '127.0.0.1');
    const up = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (up) return;
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
  }
  throw new Error('mosquitto did not start');
}
