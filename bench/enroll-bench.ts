/**
 * What enrollment costs: `node bench/enroll-bench.ts [--devices 100000] [--seconds 10] [--only crl]`.
 *
 * The service runs in a process of its own, the clients in this one, on the same machine. An
 * enrollment is complete: a new TLS connection, token, CSR, certificate issued and on the disk.
 * Measured at 1,000 registered devices and at `--devices`: latency at 250 a second (open loop: the
 * next one starts when its time has come, whether or not the ones before are done), the most a second,
 * start, memory, list and search, revocation, and the CRL with 100,000 entries: how long others wait
 * meanwhile, beside how long they wait when nothing is signed, for the clients share the machine.
 *
 * @module
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { Agent } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createCsr } from '../certs/csr.ts';
import { generateKeySync } from '../certs/key.ts';
import { systemClock } from '../core/clock.ts';
import { checkConfig } from '../core/config/config.ts';
import { parseDeviceId } from '../core/device-id.ts';
import { revokedSchema, tokenBatchSchema } from '../core/protocol/enrollment-api.ts';
import { callHttps, callJson } from '../core/protocol/https-client.ts';
import { createLog, silentLog } from '../core/log.ts';
import { identityFiles, stateFolder, type StateFolder } from '../core/state-folder.ts';
import { openLowdbRegistry } from '../enroll/registry/lowdb-registry.ts';
import type { Put } from '../enroll/registry/registry.ts';
import { startEnroll } from '../enroll/enroll-service.ts';
import { initialiseState } from '../enroll/bootstrap/state.ts';

const self = fileURLToPath(import.meta.url);
const config = checkConfig({
  enroll: { port: 0, crlValidity: '1m' },
  limits: {
    enroll: {
      // All clients have one address here.
      requestsPerAddressPerSecond: 1_000_000,
      signaturesPerSecond: 1_000_000,
      connectionsPerAddressMax: 20_000,
      connectionsMax: 20_000,
    },
  },
});

if (process.argv[2] === '--serve') await serve(process.argv[3] ?? '');
else await main();

async function serve(root: string): Promise<void> {
  const startMs = performance.now();
  const log = createLog({ level: 'error' });
  const service = await startEnroll(config, { state: stateFolder(root), log });
  process.send?.({ url: service.addresses.https.url, startMs: performance.now() - startMs });
  const delays = monitorEventLoopDelay({ resolution: 1 });
  process.on('message', (message) => {
    if (message === 'watch') {
      delays.reset();
      delays.enable();
    } else if (message === 'seen') {
      delays.disable();
      process.send?.({ loopMs: delays.max / 1e6 });
    } else void service.close().then(() => process.exit(0));
  });
}

interface Served {
  readonly child: ChildProcess;
  readonly url: string;
  readonly startMs: number;
  readonly admin: { readonly ca: string; readonly cert: string; readonly key: string };
}

async function start(state: StateFolder): Promise<Served> {
  const child = fork(self, ['--serve', state.root]);
  const [ready] = (await once(child, 'message')) as [{ url: string; startMs: number }];
  const files = identityFiles(state.admin);
  const [ca = '', cert = '', key = ''] = await Promise.all(
    [files.ca, files.chain, files.key].map((path) => readFile(path, 'utf8')),
  );
  return { child, ...ready, admin: { ca, cert, key } };
}

async function stop({ child }: Served): Promise<void> {
  child.send('stop');
  await once(child, 'exit');
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      devices: { type: 'string', default: '100000' },
      seconds: { type: 'string', default: '10' },
      only: { type: 'string' },
    },
  });
  const root = await mkdtemp(join(tmpdir(), 'flotilla-bench-'));
  try {
    const state = stateFolder(join(root, 'state'));
    await initialiseState(state, config, { log: silentLog });
    if (values.only === 'crl') await seed(state, Number(values.devices));
    for (const devices of values.only === 'crl' ? [] : [1000, Number(values.devices)]) {
      await seed(state, devices);
      const served = await start(state);
      console.log(`\n${devices} devices: start ${ms(served.startMs)}, ${await memory(served)}`);
      await enrollments(served, devices, Number(values.seconds));
      await lists(served, devices);
      await revocations(served, devices);
      console.log(`  afterwards ${await memory(served)}`);
      await stop(served);
    }
    await crl(state);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

/** Registers devices with a certificate each, straight into the registry. */
async function seed(state: StateFolder, count: number): Promise<void> {
  const registry = await openLowdbRegistry(state.enroll.registry, {
    clock: systemClock,
    log: silentLog,
    sink: () => Promise.resolve(),
  });
  const now = Date.now();
  let puts: Put[] = [];
  for (let at = 0; at < count; at++) {
    const id = parseDeviceId(`seed-${String(at).padStart(7, '0')}`);
    if ((await registry.get('devices', id)) !== undefined) continue;
    const hex = at.toString(16).padStart(64, '0');
    puts.push({
      table: 'devices',
      expected: 0,
      record: {
        id,
        role: 'device',
        status: 'active',
        group: `group-${at % 100}`,
        attributes: { site: `site-${at % 1000}`, model: 'm1' },
        profile: 'default',
        createdAtMs: now,
        certificates: [
          {
            serial: `40${hex.slice(34)}`,
            fingerprint: `sha256:${hex}`,
            keyFingerprint: `sha256:${hex}`,
            key: 'MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE'.padEnd(124, 'A'),
            issuer: `sha256:${'0'.repeat(64)}`,
            notBeforeMs: now,
            notAfterMs: now + 3e10 + at,
            status: 'active',
          },
        ],
      },
    });
    if (puts.length === 1000) {
      await registry.commit({ puts });
      puts = [];
    }
  }
  await registry.commit({ puts });
  await registry.close();
}

async function enrollments(served: Served, devices: number, seconds: number): Promise<void> {
  const perSecond = 250;
  const total = perSecond * seconds;
  const wishes = await prepare(served, `r${devices}`, total * 2);
  const latencies: number[] = [];
  let failed = 0;
  const one = async (at: number): Promise<void> => {
    const wish = wishes[at];
    if (wish === undefined) return;
    const startMs = performance.now();
    const answer = await callHttps({
      method: 'POST',
      url: `${served.url}/v1/enroll`,
      ca: served.admin.ca,
      bearer: wish.token,
      body: { device: wish.device, csr: wish.csr },
    }).catch(() => undefined);
    if (answer?.status === 201) latencies.push(performance.now() - startMs);
    else failed++;
  };
  const cpuBefore = await cpuSeconds(served);
  const startMs = performance.now();
  const running: Promise<void>[] = [];
  for (let at = 0; at < total; at++) {
    const waitMs = startMs + (at * 1000) / perSecond - performance.now();
    if (waitMs > 1) await delay(waitMs);
    running.push(one(at));
  }
  await Promise.all(running);
  const rate = (total / (performance.now() - startMs)) * 1000;
  const cpu = ((await cpuSeconds(served)) - cpuBefore) / total;
  console.log(
    `  ${perSecond}/s open loop: ${rate.toFixed(0)}/s done, ${failed} failed, ${spread(latencies)}, server CPU ${ms(cpu * 1000)} each`,
  );
  latencies.length = 0;
  let next = total;
  const mostMs = performance.now();
  const cpuMost = await cpuSeconds(served);
  await Promise.all(
    Array.from({ length: 32 }, async () => {
      while (next < wishes.length) await one(next++);
    }),
  );
  const mostRate = (total / (performance.now() - mostMs)) * 1000;
  const cpuEach = ((await cpuSeconds(served)) - cpuMost) / total;
  console.log(
    `  32 at once: ${mostRate.toFixed(0)}/s, ${failed} failed, ${spread(latencies)}, server CPU ${ms(cpuEach * 1000)} each`,
  );
}

async function prepare(
  { url, admin }: Served,
  prefix: string,
  count: number,
): Promise<{ device: string; token: string; csr: string }[]> {
  const wishes: { device: string; token: string; csr: string }[] = [];
  for (let from = 0; from < count; from += 1000) {
    const devices = Array.from(
      { length: Math.min(1000, count - from) },
      (_none, at) => `${prefix}-${from + at}`,
    );
    const { tokens } = await callJson(
      { method: 'POST', url: `${url}/v1/tokens/batch`, ...admin, body: { devices } },
      tokenBatchSchema,
    );
    for (const { device, token } of tokens) {
      const key = generateKeySync('p256');
      wishes.push({ device, token, csr: createCsr({ key, commonName: device }).pem });
    }
  }
  return wishes;
}

async function lists({ url, admin }: Served, devices: number): Promise<void> {
  const last = String(devices - 10).padStart(7, '0');
  const queries = {
    'first page': 'limit=100',
    'by prefix': `prefix=seed-${last.slice(0, 6)}`,
    'by group': 'group=group-7&limit=100',
    'by attribute': 'attribute=site%3Dsite-7&limit=100',
    'none found': 'attribute=site%3Dnowhere',
    'by status': 'status=suspended',
    'by expiry': 'expiresWithinSeconds=60',
  };
  for (const [name, query] of Object.entries(queries)) {
    const times: number[] = [];
    for (let at = 0; at < 20; at++) {
      const startMs = performance.now();
      await callHttps({ method: 'GET', url: `${url}/v1/devices?${query}`, ...admin });
      times.push(performance.now() - startMs);
    }
    console.log(`  list, ${name}: ${spread(times)}`);
  }
}

async function revocations({ url, admin }: Served, devices: number): Promise<void> {
  const times: number[] = [];
  for (let at = 0; at < 100; at++) {
    const startMs = performance.now();
    await callJson(
      {
        method: 'POST',
        url: `${url}/v1/devices/r${devices}-${at}/revoke`,
        ...admin,
        body: {},
      },
      revokedSchema,
    );
    times.push(performance.now() - startMs);
  }
  console.log(`  revocation, CRL signed, no broker: ${spread(times)}`);
}

/** The list with 100,000 entries, and how long others wait meanwhile. */
async function crl(state: StateFolder): Promise<void> {
  const registry = await openLowdbRegistry(state.enroll.registry, {
    clock: systemClock,
    log: silentLog,
    sink: () => Promise.resolve(),
  });
  const issuer = (await registry.get('devices', 'admin'))?.certificates.at(-1)?.issuer ?? '';
  const atMs = Date.now();
  for (let from = 0; from < 100_000; from += 1000) {
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
  const served = await start(state);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const call = { method: 'GET', url: `${served.url}/crl`, ca: served.admin.ca } as const;
  const { body } = await callHttps(call);
  console.log(`\nCRL of 100,000 entries, ${(body.length / 1e6).toFixed(1)} MB:`);
  const others = async (work: () => Promise<void>): Promise<string> => {
    const load = new AbortController();
    const probe = async (on: { agent?: Agent }, pauseMs: number): Promise<string> => {
      const waits: number[] = [];
      while (!load.signal.aborted) {
        const startMs = performance.now();
        await callHttps({ ...call, ...on, url: `${served.url}/v1/ca` });
        waits.push(performance.now() - startMs);
        await delay(pauseMs);
      }
      return spread(waits);
    };
    served.child.send('watch');
    const probes = [probe({}, 5), probe({ agent }, 2)] as const;
    await work();
    load.abort();
    const [fresh, kept] = await Promise.all(probes);
    served.child.send('seen');
    const [{ loopMs }] = (await once(served.child, 'message')) as [{ loopMs: number }];
    return `new connection each ${fresh}; kept connection ${kept}; event loop stood still at most ${ms(loopMs)}`;
  };
  console.log(`  other calls, nothing signed: ${await others(() => delay(4000))}`);
  const revoked = 300;
  const times: number[] = [];
  const meanwhile = await others(async () => {
    for (let at = 0; at < revoked; at++) {
      const startMs = performance.now();
      const { crlNumber } = await callJson(
        {
          method: 'POST',
          url: `${served.url}/v1/devices/seed-${String(at).padStart(7, '0')}/revoke`,
          ...served.admin,
          body: {},
        },
        revokedSchema,
      );
      if (crlNumber !== undefined) times.push(performance.now() - startMs);
    }
  });
  // Half of its validity after the last one the list comes anew, with every row read again.
  const refreshed = await others(() => delay(32_000));
  console.log(`  other calls, 30 s with one list made from all rows: ${refreshed}`);
  console.log(`  other calls, list after list: ${meanwhile}`);
  const fetched = await others(async () => {
    for (let at = 0; at < 20; at++) {
      await callHttps(call);
      await callHttps({ ...call, url: `${call.url}.pem` });
    }
  });
  console.log(`  other calls, the list fetched by others: ${fetched}`);
  console.log(
    `  revocation with a new list: ${spread(times)}, ${times.length} of ${revoked} in time`,
  );
  agent.destroy();
  await stop(served);
}

async function memory({ child }: Served): Promise<string> {
  const status = await readFile(`/proc/${child.pid}/status`, 'utf8');
  return `${Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024)} MiB`;
}

async function cpuSeconds({ child }: Served): Promise<number> {
  const stat = await readFile(`/proc/${child.pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function spread(times: readonly number[]): string {
  const sorted = times.toSorted((one, other) => one - other);
  const at = (part: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
  return `p50 ${ms(at(0.5))}, p99 ${ms(at(0.99))}, max ${ms(at(1))}`;
}

function ms(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 0)} ms`;
}
