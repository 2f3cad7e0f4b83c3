/**
 * Serves the figures of a run for Prometheus over HTTP while it lasts.
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

/** One metric: rows of labels and values. */
interface Family {
  readonly name: string;
  readonly type: 'gauge' | 'counter' | 'summary';
  readonly help: string;
  readonly rows: readonly (readonly [labels: string, value: number])[];
}

/** Renders the Prometheus text format, version 0.0.4. Pure. */
export function metricsText(progress: Progress): string {
  const run = `plan="${label(progress.plan)}",seed="${label(progress.seed)}"`;
  return familiesOf(progress)
    .filter(({ rows }) => rows.length > 0)
    .map(({ name, type, help, rows }) =>
      [
        `# HELP ${name} ${help}`,
        `# TYPE ${name} ${type}`,
        ...rows.map(
          ([labels, value]) => `${name}{${run}${labels === '' ? '' : `,${labels}`}} ${value}`,
        ),
        '',
      ].join('\n'),
    )
    .join('');
}

function familiesOf({ states, totals, errors, second, phases }: Progress): Family[] {
  return [
    {
      name: 'flotilla_sim_devices',
      type: 'gauge',
      help: 'Simulated devices by state.',
      rows: deviceStates.map((state) => [`state="${state}"`, states[state]]),
    },
    {
      name: 'flotilla_sim_messages_total',
      type: 'counter',
      help: 'Messages by result.',
      rows: Object.entries(totals).map(([what, value]) => [`what="${label(what)}"`, value]),
    },
    {
      name: 'flotilla_sim_errors_total',
      type: 'counter',
      help: 'Failures by reason.',
      rows: Object.entries(errors).map(([reason, value]) => [`reason="${label(reason)}"`, value]),
    },
    {
      name: 'flotilla_sim_latency_seconds',
      type: 'summary',
      help: 'Latency of the last second, measured from the scheduled time.',
      rows: latencyRows(second),
    },
    {
      name: 'flotilla_sim_cpu_share',
      type: 'gauge',
      help: 'CPU of the last second; 1 is one core.',
      rows: [
        ['of="simulator"', second?.simulatorCpu ?? 0],
        ...(second?.brokerCpu === undefined ? [] : [['of="broker"', second.brokerCpu] as const]),
      ],
    },
    {
      name: 'flotilla_sim_phase',
      type: 'gauge',
      help: '1 while the phase runs.',
      rows: phases.map(({ name }) => [`phase="${label(name)}"`, 1]),
    },
  ];
}

function latencyRows(second: Progress['second']): Family['rows'] {
  const samples = {
    end_to_end: second?.endToEnd,
    publish_ack: second?.publishAck,
    connect: second?.connect,
    schedule_error: second?.scheduleError,
  };
  return Object.entries(samples).flatMap(([name, sample]) =>
    sample === undefined
      ? []
      : (
          [
            ['0.5', sample.p50],
            ['0.95', sample.p95],
            ['0.99', sample.p99],
            ['1', sample.max],
          ] as const
        ).map(
          ([quantile, value]) => [`of="${name}",quantile="${quantile}"`, value / 1000] as const,
        ),
  );
}

function label(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
