/**
 * The cost of enrollment: `node bench/enroll-bench.ts [--devices 100000] [--seconds 10] [--only crl]`.
 *
 * The service runs in a process of its own, the clients run in this one, on the same machine. An
 * enrollment is complete: a new TLS connection, a token, a CSR, and a certificate that is issued and
 * stored on disk. Measured with 1,000 registered devices and with `--devices`: latency at 250
 * enrollments per second (open loop: each starts at its scheduled time, whether or not earlier ones are
 * done), the maximum rate, start time, memory, lists and searches, revocations, and the CRL with 100,000
 * entries (see enroll/crl-load.ts).
 *
 * @module
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { createCsr } from '../certs/csr.ts';
import { generateKeySync } from '../certs/key.ts';
import { silentLog } from '../core/log.ts';
import { revokedSchema, tokenBatchSchema } from '../core/protocol/enrollment-api.ts';
import { callHttps, callJson } from '../core/protocol/https-client.ts';
import { stateFolder } from '../core/state-folder.ts';
import { initialiseState } from '../enroll/bootstrap/state.ts';
import {
  benchConfig,
  cpuMs,
  serviceMemoryText,
  millisecondsText,
  seedDevices,
  seededId,
  spread,
  startService,
  stopService,
  type BenchService,
} from './enroll/bench-service.ts';
import { measureCrl } from './enroll/crl-load.ts';

const ratePerSecond = 250;
const concurrency = 32;

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
  await initialiseState(state, benchConfig, { log: silentLog });
  if (values.only === 'crl') await seedDevices(state, Number(values.devices));
  for (const devices of values.only === 'crl' ? [] : [1000, Number(values.devices)]) {
    await seedDevices(state, devices);
    const service = await startService(state);
    console.log(
      `\n${devices} devices: start ${millisecondsText(service.startMs)}, ${serviceMemoryText(service)}`,
    );
    await measureEnrollments(service, devices, Number(values.seconds));
    await measureLists(service, devices);
    await measureRevocations(service, devices);
    console.log(`  afterwards ${serviceMemoryText(service)}`);
    await stopService(service);
  }
  await measureCrl(state);
} finally {
  await rm(root, { recursive: true, force: true });
}

interface EnrollRequest {
  readonly device: string;
  readonly token: string;
  readonly csr: string;
}

async function measureEnrollments(
  service: BenchService,
  devices: number,
  seconds: number,
): Promise<void> {
  const total = ratePerSecond * seconds;
  const requests = await prepareRequests(service, `r${devices}`, total * 2);
  const latenciesMs: number[] = [];
  let failed = 0;
  const enroll = async (request: EnrollRequest | undefined): Promise<void> => {
    if (request === undefined) return;
    const startMs = performance.now();
    if (await enrollOne(service, request)) latenciesMs.push(performance.now() - startMs);
    else failed++;
  };
  const measure = async (title: string, run: () => Promise<unknown>): Promise<void> => {
    latenciesMs.length = 0;
    const cpuBeforeMs = cpuMs(service);
    const startMs = performance.now();
    await run();
    const rate = (total / (performance.now() - startMs)) * 1000;
    const cpuEachMs = (cpuMs(service) - cpuBeforeMs) / total;
    console.log(
      `  ${title}: ${rate.toFixed(0)}/s done, ${failed} failed, ${spread(latenciesMs)}, server CPU ${millisecondsText(cpuEachMs)} each`,
    );
  };
  await measure(`${ratePerSecond}/s open loop`, async () => {
    const startMs = performance.now();
    const running: Promise<void>[] = [];
    for (let at = 0; at < total; at++) {
      const waitMs = startMs + (at * 1000) / ratePerSecond - performance.now();
      if (waitMs > 1) await delay(waitMs);
      running.push(enroll(requests[at]));
    }
    await Promise.all(running);
  });
  let next = total;
  await measure(`${concurrency} concurrent`, () =>
    Promise.all(
      Array.from({ length: concurrency }, async () => {
        while (next < requests.length) await enroll(requests[next++]);
      }),
    ),
  );
}

/** Enrolls over a new connection. @returns whether the service issued the certificate */
async function enrollOne(
  { url, admin }: BenchService,
  { token, device, csr }: EnrollRequest,
): Promise<boolean> {
  const answer = await callHttps({
    method: 'POST',
    url: `${url}/v1/enroll`,
    ca: admin.ca,
    bearer: token,
    body: { device, csr },
  }).catch(() => undefined);
  return answer?.status === 201;
}

/** Creates tokens, keys and CSRs, which are not part of the measurement. */
async function prepareRequests(
  { url, admin }: BenchService,
  prefix: string,
  count: number,
): Promise<EnrollRequest[]> {
  const requests: EnrollRequest[] = [];
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
      requests.push({ device, token, csr: createCsr({ key, commonName: device }).pem });
    }
  }
  return requests;
}

async function measureLists({ url, admin }: BenchService, devices: number): Promise<void> {
  const queries = {
    'first page': 'limit=100',
    'by prefix': `prefix=${seededId(devices - 10).slice(0, -1)}`,
    'by group': 'group=group-7&limit=100',
    'by attribute': 'attribute=site%3Dsite-7&limit=100',
    'no match': 'attribute=site%3Dnowhere',
    'by status': 'status=suspended',
    'by expiry': 'expiresWithinSeconds=60',
  };
  for (const [name, query] of Object.entries(queries)) {
    const timesMs: number[] = [];
    for (let at = 0; at < 20; at++) {
      const startMs = performance.now();
      await callHttps({ method: 'GET', url: `${url}/v1/devices?${query}`, ...admin });
      timesMs.push(performance.now() - startMs);
    }
    console.log(`  list, ${name}: ${spread(timesMs)}`);
  }
}

async function measureRevocations({ url, admin }: BenchService, devices: number): Promise<void> {
  const timesMs: number[] = [];
  for (let at = 0; at < 100; at++) {
    const startMs = performance.now();
    await callJson(
      { method: 'POST', url: `${url}/v1/devices/r${devices}-${at}/revoke`, ...admin, body: {} },
      revokedSchema,
    );
    timesMs.push(performance.now() - startMs);
  }
  console.log(`  revocation, CRL signed, no broker: ${spread(timesMs)}`);
}
