/**
 * A run's own figures for Prometheus, over HTTP while it lasts.
 *
 * @module
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { deviceStates } from '../device/sim-device.ts';
import type { Progress } from './progress.ts';

export interface RunMetrics {
  readonly url: string;
  /** Takes every progress event of the run. */
  update(progress: Progress): void;
  close(): Promise<void>;
}

/**
 * Serves `/metrics`.
 *
 * @throws FlotillaError `address-in-use`
 */
export async function startRunMetrics(config: {
  readonly host: string;
  readonly port: number;
}): Promise<RunMetrics> {
  let latest: Progress | undefined;
  const server = createServer((request, response) => {
    if (request.url !== '/metrics' || request.method !== 'GET') {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' });
    response.end(latest === undefined ? '' : metricsText(latest));
  });
  server.headersTimeout = 5000;
  server.maxConnections = 16;
  server.listen(config.port, config.host);
  try {
    await once(server, 'listening');
  } catch (error) {
    throw new FlotillaError('address-in-use', {
      detail: `${config.host}:${config.port}`,
      cause: error,
    });
  }
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${config.host}:${port}/metrics`,
    update: (progress) => {
      latest = progress;
    },
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** The text format of Prometheus, version 0.0.4. Pure. */
export function metricsText(progress: Progress): string {
  const { states, totals, errors, second } = progress;
  const run = `plan="${label(progress.plan)}",seed="${label(progress.seed)}"`;
  const family = (
    name: string,
    type: 'gauge' | 'counter',
    help: string,
    rows: [string, number][],
  ): string =>
    rows.length === 0
      ? ''
      : `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${rows
          .map(
            ([labels, value]) => `${name}{${run}${labels === '' ? '' : `,${labels}`}} ${value}\n`,
          )
          .join('')}`;
  const samples = [
    ['end_to_end', second?.endToEnd],
    ['publish_ack', second?.publishAck],
    ['connect', second?.connect],
    ['schedule_error', second?.scheduleError],
  ] as const;
  return [
    family(
      'flotilla_sim_devices',
      'gauge',
      'Simulated devices by state.',
      deviceStates.map((state) => [`state="${state}"`, states[state]]),
    ),
    family(
      'flotilla_sim_messages_total',
      'counter',
      'Messages by what became of them.',
      Object.entries(totals).map(([what, value]) => [`what="${label(what)}"`, value]),
    ),
    family(
      'flotilla_sim_errors_total',
      'counter',
      'Failures by reason.',
      Object.entries(errors).map(([reason, value]) => [`reason="${label(reason)}"`, value]),
    ),
    family(
      'flotilla_sim_latency_seconds',
      'gauge',
      'Latency of the last second, from the intended time.',
      samples.flatMap(([name, sample]) =>
        sample === undefined
          ? []
          : (
              [
                ['0.5', sample.p50],
                ['0.95', sample.p95],
                ['0.99', sample.p99],
                ['1', sample.max],
              ] as const
            ).map(([quantile, value]): [string, number] => [
              `of="${name}",quantile="${quantile}"`,
              value / 1000,
            ]),
      ),
    ),
    family('flotilla_sim_cpu_share', 'gauge', 'CPU of the last second, 1 is one core.', [
      ['of="simulator"', second?.simulatorCpu ?? 0],
      ...(second?.brokerCpu === undefined
        ? []
        : ([['of="broker"', second.brokerCpu]] as [string, number][])),
    ]),
    family(
      'flotilla_sim_phase',
      'gauge',
      '1 while the phase runs.',
      progress.phases.map(({ name }) => [`phase="${label(name)}"`, 1]),
    ),
  ].join('');
}

function label(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
