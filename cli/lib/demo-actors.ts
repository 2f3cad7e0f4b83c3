/**
 * The devices of `flotilla up --demo`, which give the console something to show: one that the policy denies
 * something, one whose certificate ends within a day, and one that waits for approval. All of them publish
 * retained states and reply to commands.
 *
 * @module
 */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { MqttClient } from 'mqtt';
import { readCertificate } from '../../certs/certificate.ts';
import type { ConfigInput } from '../../core/config/config.ts';
import { parseDeviceId, type DeviceId } from '../../core/device-id.ts';
import { isFlotillaError } from '../../core/errors/flotilla-error.ts';
import { holdsIdentity, loadIdentity } from '../../core/identity-folder.ts';
import type { Logger } from '../../core/log.ts';
import { tokenSchema } from '../../core/protocol/enrollment-api.ts';
import { callJson } from '../../core/protocol/https-client.ts';
import { identityFiles, type StateFolder } from '../../core/state-folder.ts';
import { enrollInto } from './enroll-device.ts';
import { reachable } from './host-port.ts';
import { openConnection } from './mqtt-connection.ts';

export interface DemoActorDeps {
  readonly state: StateFolder;
  readonly mqtts: { readonly host: string; readonly port: number };
  readonly enrollUrl: string;
  readonly fingerprint: string;
  readonly log: Logger;
}

const shortProfile = 'demo-short';
const retryMs = 15_000;
const stateMs = 3000;
const deniedMs = 30_000;
const waitingMax = 9;

/** The settings that the demonstration needs: requests for approval, and a profile of short certificates. */
export const demoSettings: ConfigInput['enroll'] = {
  approval: { enabled: true },
  profiles: { [shortProfile]: { validity: '20h' } },
};

interface Actor {
  readonly id: DeviceId;
  /** How it gets its certificate. */
  readonly by: 'token' | 'approval';
  readonly profile?: string;
  /** A topic that the policy denies. */
  readonly denied?: string;
}

/** Starts them. The returned function stops them and resolves when they are disconnected. */
export async function startDemoActors(deps: DemoActorDeps): Promise<() => Promise<void>> {
  const stop = new AbortController();
  const actors: Actor[] = [
    { id: parseDeviceId('lift-7'), by: 'token', denied: 'alarms/lift-7/overload' },
    { id: parseDeviceId('pump-3'), by: 'token', profile: shortProfile },
  ];
  // One waits; those that an operator approved in an earlier run are part of the fleet.
  for (let number = 1; number <= waitingMax; number++) {
    const id = parseDeviceId(`crane-${number}`);
    actors.push({ id, by: 'approval' });
    if (!(await holdsIdentity(folderOf(deps, id)))) break;
  }
  const running = actors.map((actor) => keepAlive(actor, deps, stop.signal));
  return async () => {
    stop.abort();
    await Promise.all(running);
  };
}

/** Enrolls, connects and works, again and again. Never rejects. */
async function keepAlive(actor: Actor, deps: DemoActorDeps, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await enroll(actor, deps);
      const { host, port } = deps.mqtts;
      const client = await openConnection({
        state: deps.state.root,
        dir: folderOf(deps, actor.id),
        mqtts: `${reachable(host)}:${port}`,
      });
      await work(actor, client, signal);
    } catch (error) {
      if (!isFlotillaError(error, 'enrollment-pending')) {
        deps.log.debug({ device: actor.id, err: error }, 'device of the demonstration failed');
      }
    }
    await pause(retryMs, undefined, { signal, ref: false }).catch(() => undefined);
  }
}

async function enroll(actor: Actor, deps: DemoActorDeps): Promise<void> {
  const { enrollUrl, fingerprint } = deps;
  const folder = folderOf(deps, actor.id);
  if (await holdsIdentity(folder)) {
    const { notAfterMs } = readCertificate((await loadIdentity(folder)).cert);
    if (notAfterMs > Date.now()) return;
    await rm(folder, { recursive: true, force: true });
  }
  const bearer = actor.by === 'token' ? { bearer: await tokenFor(actor, deps) } : {};
  await enrollInto({
    folder,
    id: actor.id,
    keyType: 'p256',
    url: enrollUrl,
    fingerprint,
    mqtts: undefined,
    waitMs: 0,
    waiting: () => undefined,
    call: (ca, csr) => ({
      method: 'POST',
      url: new URL('/v1/enroll', enrollUrl).href,
      ca,
      ...bearer,
      body: { device: actor.id, csr },
    }),
  });
}

async function tokenFor({ id, profile }: Actor, deps: DemoActorDeps): Promise<string> {
  const files = identityFiles(deps.state.admin);
  const [cert, key, ca] = await Promise.all([
    readFile(files.chain, 'utf8'),
    readFile(files.key, 'utf8'),
    readFile(files.ca, 'utf8'),
  ]);
  const made = await callJson(
    {
      method: 'POST',
      url: new URL('/v1/tokens', deps.enrollUrl).href,
      ...{ ca, cert, key },
      body: { device: id, group: 'demo', ...(profile === undefined ? {} : { profile }) },
    },
    tokenSchema,
  );
  return made.token;
}

/** Publishes and replies until the connection ends. */
async function work(actor: Actor, client: MqttClient, signal: AbortSignal): Promise<void> {
  const { id, denied } = actor;
  const closed = new Promise<void>((resolve) => client.once('close', () => resolve()));
  client.on('error', () => undefined);
  const publish = (topic: string, content: object, retain: boolean): void => {
    // What the policy denies, and what a closed connection loses, is part of the demonstration.
    client.publishAsync(topic, JSON.stringify(content), { qos: 1, retain }).catch(() => undefined);
  };
  client.on('message', (topic, payload, { properties }) => {
    const { responseTopic = `devices/${id}/replies`, correlationData } = properties ?? {};
    const command = topic.slice(topic.lastIndexOf('/') + 1);
    client
      .publishAsync(responseTopic, JSON.stringify({ command, done: true, bytes: payload.length }), {
        qos: 1,
        ...(correlationData === undefined ? {} : { properties: { correlationData } }),
      })
      .catch(() => undefined);
  });
  const state = (): void => {
    const angle = Date.now() / 20_000;
    publish(
      `devices/${id}/state`,
      {
        temperature: Math.round((30 + 8 * Math.sin(angle)) * 10) / 10,
        load: Math.round(50 + 40 * Math.sin(angle * 2.3)),
        mode: Math.sin(angle * 0.7) > 0 ? 'run' : 'idle',
      },
      true,
    );
  };
  const timers = [setInterval(state, stateMs)];
  if (denied !== undefined) {
    const ask = (): void => publish(denied, { overload: true }, false);
    ask();
    timers.push(setInterval(ask, deniedMs));
  }
  const leave = (): void => void client.end();
  signal.addEventListener('abort', leave, { once: true });
  state();
  await client.subscribeAsync(`devices/${id}/commands/#`, { qos: 1 }).catch(() => undefined);
  if (signal.aborted) leave();
  await closed;
  for (const timer of timers) clearInterval(timer);
  signal.removeEventListener('abort', leave);
}

function folderOf({ state }: DemoActorDeps, id: DeviceId): string {
  return join(state.sim, 'demo', id);
}
