/** `flotilla sim …`: the fleet simulator. @module */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { systemClock } from '../../core/clock.ts';
import { writeFileAtomic } from '../../core/atomic-file.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { createLog } from '../../core/log.ts';
import { quickPlan, readPlan, type Plan } from '../../device-sim/plan.ts';
import { progressLine } from '../../device-sim/progress.ts';
import { reportText } from '../../device-sim/report/report-text.ts';
import { runSimulation } from '../../device-sim/run.ts';
import type { Target } from '../../device-sim/target.ts';
import { stateFolder } from '../../core/state-folder.ts';
import { adminClient, type AdminOptions } from '../admin-client.ts';
import { hostPort, reachable } from '../host-port.ts';
import {
  command,
  duration,
  positive,
  stateCommand,
  whole,
  type CommonOptions,
  type Context,
} from '../context.ts';
import { readBrokerRun } from '../run-file.ts';
import type { Runner } from '../runner.ts';

interface RunOptions extends AdminOptions {
  readonly mqtts?: string;
  readonly certs?: string;
  readonly ca?: string;
  readonly devices?: number;
  readonly duration?: number;
  readonly rate?: number;
  readonly qos?: string;
  readonly client?: 'mqttjs' | 'light';
  readonly seed?: string;
  readonly report?: string;
}

export function simCommand(runner: Runner): Command {
  return new Command('sim')
    .description('the fleet simulator')
    .addCommand(
      stateCommand('run', 'run a plan, or a quick one made of the numbers given')
        .argument('[plan]', 'a plan, YAML')
        .option('--devices <n>', 'how many devices (default: 100)', whole)
        .option('--duration <duration>', 'how long they publish (default: 30s)', duration)
        .option('--rate <n>', 'messages a second of each device (default: 1)', positive)
        .addOption(
          new Option('--qos <n>', 'quality of service (default: 1)').choices(['0', '1', '2']),
        )
        .addOption(
          new Option('--client <kind>', 'MQTT.js as users run it, or the light one').choices([
            'mqttjs',
            'light',
          ]),
        )
        .option('--seed <text>', 'the same seed makes the same traffic')
        .option('--report <dir>', 'write the report there')
        .option('--url <url>', 'the enrollment service, if not the one on the state folder')
        .option('--mqtts <host:port>', 'the broker, if not the one on the state folder')
        .option('--certs <dir>', 'any broker: certificates of devices, instead of enrolling')
        .option('--ca <file>', 'any broker: what it is trusted by (default: ca.pem in --certs)')
        .action(runner.runWith(run)),
    )
    .addCommand(
      command('check', 'read a plan as sim run would')
        .argument('<plan>', 'a plan, YAML')
        .action(runner.runWith(check)),
    );
}

const run = async (
  file: string | undefined,
  options: RunOptions,
  context: Context,
): Promise<number> => {
  const { out, world } = context;
  const plan = await planOf(file, options);
  const target = await targetOf(options, context);
  const stop = new AbortController();
  void world.stopAsked().then(() => {
    out.warn('ending in order; once more ends at once');
    stop.abort();
  });
  const report = await runSimulation(plan, {
    target,
    log: createLog({ level: 'warn' }),
    clock: systemClock,
    progress: (progress) => out.streams.stderr.write(`${progressLine(progress)}\n`),
    signal: stop.signal,
  });
  if (options.report !== undefined) {
    await mkdir(options.report, { recursive: true });
    await writeFileAtomic(
      join(options.report, 'report.json'),
      JSON.stringify(report, null, 2),
      0o644,
    );
    await writeFileAtomic(join(options.report, 'report.txt'), `${reportText(report)}\n`, 0o644);
  }
  out.result(report, reportText(report));
  return report.ok ? 0 : 3;
};

const check = async (file: string, _options: CommonOptions, context: Context): Promise<number> => {
  const plan = await readPlan(file);
  context.out.result({ ok: true, plan: plan.name }, `${file} is a valid plan: ${plan.name}`);
  return 0;
};

async function planOf(file: string | undefined, options: RunOptions): Promise<Plan> {
  const { devices, rate, qos, client, seed } = options;
  if (file === undefined) {
    return quickPlan({
      devices: devices ?? 100,
      durationMs: options.duration ?? 30_000,
      ratePerSecond: rate ?? 1,
      qos: Number(qos ?? '1') as 0 | 1 | 2,
      seed,
      client,
    });
  }
  for (const name of ['devices', 'duration', 'rate', 'qos', 'client'] as const) {
    if (options[name] !== undefined) {
      throw new FlotillaError('usage', {
        detail: `--${name} goes without a plan: the plan says it`,
      });
    }
  }
  const plan = await readPlan(file);
  return seed === undefined ? plan : { ...plan, seed };
}

async function targetOf(options: RunOptions, context: Context): Promise<Target> {
  const state = stateFolder(options.state);
  const named = options.mqtts === undefined ? undefined : hostPort(options.mqtts, 8883);
  if (options.certs !== undefined) {
    if (named === undefined)
      throw new FlotillaError('usage', { detail: '--certs goes with --mqtts' });
    const ca = options.ca === undefined ? {} : { ca: await readFile(options.ca, 'utf8') };
    return { mqtts: named, certificates: options.certs, ...ca };
  }
  const client = await adminClient(options, context);
  const mqtts = named ?? (await readBrokerRun(state))?.mqtts;
  if (mqtts === undefined) throw new FlotillaError('broker-not-running', { detail: options.state });
  return {
    enrollUrl: client.url,
    mqtts: { host: reachable(mqtts.host), port: mqtts.port },
    ca: client.ca,
    admin: { cert: client.cert, key: client.key },
    keepFolder: state.sim,
  };
}
