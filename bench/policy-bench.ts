/**
 * The cost of the policy: a single decision, and the CPU per message of a complete broker with policy,
 * admission and metrics (`flotilla`) compared with the session layer that allows everything (`session`),
 * in alternating runs. Run: `node bench/policy-bench.ts [--micro]`.
 *
 * @module
 */
import { PolicyAuthorizer } from '../broker/policy/policy-authorizer.ts';
import { defaultPolicyText } from '../core/policy/default-policy.ts';
import { parsePolicy } from '../core/policy/policy-file.ts';
import type { Identity } from '../broker/contracts/identity.ts';
import { brokerLimitsSchema } from '../core/config/limits.ts';
import { parseDeviceId } from '../core/device-id.ts';
import { writeBenchState } from './bench-state.ts';
import { startBenchBroker } from './brokers.ts';
import { makeCertificates } from './certificates.ts';
import { clientNames, Clients } from './clients.ts';
import { measureLoad, type Shape } from './delivery.ts';

const rounds = 5;
const printLine = (line: string): void => void process.stdout.write(`${line}\n`);

function identityOf(index: number): Identity {
  const id = parseDeviceId(`device-${index}`);
  return {
    id,
    entry: { id, role: 'device', status: 'active', group: null, attributes: {}, certificates: [] },
    standing: 'full',
    serial: '0a',
    fingerprint: '',
    notAfterMs: Infinity,
    remoteAddress: '127.0.0.1',
    tlsVersion: 'TLSv1.3',
    tlsResumed: false,
  };
}

/** Nanoseconds of one call, over many. */
function nanoseconds(calls: number, call: (index: number) => unknown): number {
  for (let index = 0; index < calls / 10; index++) call(index);
  const began = process.hrtime.bigint();
  for (let index = 0; index < calls; index++) call(index);
  return Number(process.hrtime.bigint() - began) / calls;
}

function micro(): void {
  const policy = parsePolicy(defaultPolicyText);
  const authorizer = new PolicyAuthorizer(policy, brokerLimitsSchema.parse({}), 'close');
  const count = 1000;
  const identities = Array.from({ length: count }, (_, index) => identityOf(index));
  const topics = identities.map(({ id }) => `devices/${id}/telemetry`);
  const ask = (index: number): unknown =>
    authorizer.publish(identities[index % count]!, topics[index % count]!, 1, false, 100);
  printLine(`a cached decision, ${count} devices in turn: ${nanoseconds(2e6, ask).toFixed(0)} ns`);
  const fresh = (index: number): unknown =>
    authorizer.publish(
      identities[index % count]!,
      `devices/device-${index % count}/${index}`,
      1,
      false,
      100,
    );
  printLine(`a decision on a new topic: ${nanoseconds(2e5, fresh).toFixed(0)} ns`);
  const subscribe = (index: number): unknown =>
    authorizer.subscribe(identities[index % count]!, `devices/device-${index % count}/#`, 1);
  printLine(`a subscription: ${nanoseconds(2e5, subscribe).toFixed(0)} ns`);
  const first = (index: number): unknown =>
    authorizer.publish(identityOf(index), topics[index % count]!, 1, false, 100);
  printLine(`the first decision of a connection: ${nanoseconds(1e5, first).toFixed(0)} ns`);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}

async function whole(): Promise<void> {
  process.env['FLOTILLA_BENCH_STORE'] = 'memory';
  const certificates = await makeCertificates(clientNames);
  await writeBenchState(certificates);
  const clients = new Clients(certificates);
  const cases = (['fan-in', 'fan-out'] as const).flatMap((shape) =>
    ([0, 1] as const).map((qos): { shape: Shape; qos: 0 | 1 } => ({ shape, qos })),
  );
  for (const { shape, qos } of cases) {
    const costs = { session: [] as number[], flotilla: [] as number[] };
    for (let round = 0; round < rounds; round++) {
      for (const name of round % 2 === 0
        ? (['session', 'flotilla'] as const)
        : (['flotilla', 'session'] as const)) {
        const broker = await startBenchBroker(name, certificates);
        try {
          const plan = {
            shape,
            qos,
            payloadBytes: 100,
            warmUpMs: 1500,
            measureMs: 2500,
          } as const;
          const { cpuMicrosecondsPerDelivery } = await measureLoad(broker, clients, plan);
          costs[name].push(cpuMicrosecondsPerDelivery);
        } finally {
          await broker.stop();
        }
      }
    }
    const off = median(costs.session);
    const on = median(costs.flotilla);
    printLine(
      `${shape} QoS ${qos}: ${off.toFixed(2)} µs without, ${on.toFixed(2)} µs with: ${((on / off - 1) * 100).toFixed(1)} %  (${rounds} rounds, medians; without ${costs.session.map((one) => one.toFixed(2)).join(' ')}, with ${costs.flotilla.map((one) => one.toFixed(2)).join(' ')})`,
    );
  }
}

micro();
if (!process.argv.includes('--micro')) await whole();
