/**
 * The CRL with 100,000 entries: how long a revocation takes, and how long other requests wait while
 * the list is signed and downloaded.
 *
 * @module
 */
import { once } from 'node:events';
import { Agent } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import { parseDeviceId } from '../../core/device-id.ts';
import { revokedSchema } from '../../core/protocol/enrollment-api.ts';
import { callHttps, callJson } from '../../core/protocol/https-client.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import {
  millisecondsText,
  openRegistry,
  seededId,
  spread,
  startService,
  stopService,
  type BenchService,
} from './bench-service.ts';

const entries = 100_000;
const revocations = 300;

/** Prints the measurements. */
export async function measureCrl(state: StateFolder): Promise<void> {
  await seedRevocations(state);
  const service = await startService(state);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const crl = { method: 'GET', url: `${service.url}/crl`, ca: service.admin.ca } as const;
  const { body } = await callHttps(crl);
  console.log(`\nCRL of 100,000 entries, ${(body.length / 1e6).toFixed(1)} MB:`);
  const idle = await waitsDuring(service, agent, () => delay(4000));
  console.log(`  other requests, nothing is signed: ${idle}`);
  const timesMs: number[] = [];
  const signing = await waitsDuring(service, agent, async () => {
    for (let at = 0; at < revocations; at++) {
      const elapsedMs = await revokeOne(service, at);
      if (elapsedMs !== undefined) timesMs.push(elapsedMs);
    }
  });
  // The list is made again from all rows when half of its validity has passed.
  const refreshed = await waitsDuring(service, agent, () => delay(32_000));
  console.log(`  other requests, 30 s in which one list is made from all rows: ${refreshed}`);
  console.log(`  other requests, one list after the other: ${signing}`);
  const downloading = await waitsDuring(service, agent, async () => {
    for (let at = 0; at < 20; at++) {
      await callHttps(crl);
      await callHttps({ ...crl, url: `${crl.url}.pem` });
    }
  });
  console.log(`  other requests, the list is downloaded: ${downloading}`);
  console.log(
    `  revocation with a new list: ${spread(timesMs)}, ${timesMs.length} of ${revocations} in time`,
  );
  agent.destroy();
  await stopService(service);
}

async function seedRevocations(state: StateFolder): Promise<void> {
  const registry = await openRegistry(state);
  const issuer = (await registry.get('devices', 'admin'))?.certificates.at(-1)?.issuer ?? '';
  const atMs = Date.now();
  for (let from = 0; from < entries; from += 1000) {
    await registry.commit({
      puts: Array.from({ length: 1000 }, (_none, at) => ({
        table: 'revocations' as const,
        expected: 0,
        record: {
          serial: `50${(from + at).toString(16).padStart(30, '0')}`,
          device: parseDeviceId('gone'),
          issuer,
          keyFingerprint: '',
          atMs,
          reason: 'superseded' as const,
          notAfterMs: atMs + 3e10,
        },
      })),
    });
  }
  await registry.close();
}

/** The duration of one revocation; undefined when it did not wait for the new list. */
async function revokeOne(
  { url, admin }: BenchService,
  number: number,
): Promise<number | undefined> {
  const startMs = performance.now();
  const { crlNumber } = await callJson(
    {
      method: 'POST',
      url: `${url}/v1/devices/${seededId(number)}/revoke`,
      ...admin,
      body: {},
    },
    revokedSchema,
  );
  return crlNumber === undefined ? undefined : performance.now() - startMs;
}

/** How long other requests take while `work` runs, and how long the event loop was blocked. */
async function waitsDuring(
  { child, url, admin }: BenchService,
  agent: Agent,
  work: () => Promise<void>,
): Promise<string> {
  const load = new AbortController();
  const probe = async (connection: { agent?: Agent }, pauseMs: number): Promise<string> => {
    const waitsMs: number[] = [];
    while (!load.signal.aborted) {
      const startMs = performance.now();
      await callHttps({ method: 'GET', url: `${url}/v1/ca`, ca: admin.ca, ...connection });
      waitsMs.push(performance.now() - startMs);
      await delay(pauseMs);
    }
    return spread(waitsMs);
  };
  child.send('watch');
  const probes = [probe({}, 5), probe({ agent }, 2)] as const;
  await work();
  load.abort();
  const [fresh, kept] = await Promise.all(probes);
  child.send('report');
  const [{ loopMs }] = (await once(child, 'message')) as [{ loopMs: number }];
  return `new connection each ${fresh}; kept connection ${kept}; event loop blocked for at most ${millisecondsText(loopMs)}`;
}
