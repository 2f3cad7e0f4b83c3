/** `flotilla sim run`: runs a plan, or one made of the options, against a broker. @module */
import { access, constants, mkdir } from 'node:fs/promises';
import { amountText } from '../../core/amount-text.ts';
import { systemClock } from '../../core/clock.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { Lifecycle } from '../../core/lifecycle.ts';
import { createLog } from '../../core/log.ts';
import type { Plan } from '../../device-sim/plan/plan-schema.ts';
import { quickPlan, readPlan } from '../../device-sim/plan/read-plan.ts';
import type { Progress } from '../../device-sim/view/progress.ts';
import { reportText } from '../../device-sim/report/report-text.ts';
import { writeReport } from '../../device-sim/report/write-report.ts';
import { startRunMetrics } from '../../device-sim/view/prometheus.ts';
import { runSimulation } from '../../device-sim/run.ts';
import type { Context } from '../lib/command-context.ts';
import { localCommand } from '../lib/local-command.ts';
import { simTarget, type TargetOptions } from '../lib/sim-target.ts';
import { progressView, type ProgressView } from '../lib/progress-view.ts';
import { progressJson } from '../lib/simulation-progress.ts';

export interface RunOptions extends TargetOptions {
  readonly devices?: number;
  readonly duration?: number;
  readonly rate?: number;
  readonly qos?: string;
  readonly client?: 'mqttjs' | 'light';
  readonly seed?: string;
  readonly report?: string;
  readonly removeDevices?: boolean;
  readonly metricsPort?: number;
  readonly progress?: 'json' | 'text';
}

/** Exit code 3 when a threshold was missed or a drill failed. */
export const run = async (
  file: string | undefined,
  options: RunOptions,
  context: Context,
): Promise<number> => {
  const { out, environment } = context;
  const plan = withRemoval(await planOf(file, options), options);
  // Before the run: a folder that cannot be written would lose the report of a long run.
  if (options.report !== undefined) await mkdirWritable(options.report);
  const target = await simTarget(options, context, plan.run.brokers);
  const stop = new AbortController();
  void environment.stopAsked().then(() => {
    out.warn('stopping; press Ctrl-C again to stop immediately');
    stop.abort();
  });
  const lifecycle = new Lifecycle();
  return lifecycle.guard(async () => {
    const view =
      options.progress === 'json'
        ? jsonProgress(out.streams.stderr)
        : progressView(out.streams.stderr, environment.env);
    lifecycle.add('screen', () => view.close());
    const watchers: ((progress: Progress) => void)[] = [(progress) => view.update(progress)];
    if (options.metricsPort !== undefined) {
      const metrics = await startRunMetrics({ host: '127.0.0.1', port: options.metricsPort });
      lifecycle.add('metrics', () => metrics.close());
      watchers.push((progress) => metrics.update(progress));
      out.warn(`metrics of the run: ${metrics.url}`);
    }
    const report = await runSimulation(plan, {
      target,
      log: createLog({ level: 'warn' }),
      clock: systemClock,
      progress: (progress) => {
        for (const watch of watchers) watch(progress);
      },
      signal: stop.signal,
    });
    await lifecycle.close();
    if (options.report !== undefined) {
      const paths = await writeReport(options.report, report);
      out.warn(`report: ${paths.join(', ')}`);
    }
    out.result(report, reportText(report).trimEnd());
    if (options.progress !== 'json' && 'enrollUrl' in target) {
      reportRemaining(plan, report.devices.enrolled, options.state, context);
    }
    return report.ok ? 0 : 3;
  });
};

function withRemoval(plan: Plan, { removeDevices }: RunOptions): Plan {
  return removeDevices === true ? { ...plan, run: { ...plan.run, removeDevices } } : plan;
}

/** Identities without a key are of no use, unless the next run has them again. */
function reportRemaining(
  { run: { keep, removeDevices }, fleet }: Plan,
  enrolled: number,
  state: string,
  { out, environment }: Context,
): void {
  if (keep || removeDevices || enrolled === 0) return;
  const command = `${localCommand(environment.env)} device bulk --action delete --state ${state}`;
  const lines = fleet.map(({ group }) => `  ${command} --group ${group}`);
  const remain = amountText(enrolled, 'simulated device remains', 'simulated devices remain');
  out.warn(
    [`${remain} in the registry. To delete them (next time: --remove-devices):`, ...lines].join(
      '\n',
    ),
  );
}

function jsonProgress(stream: NodeJS.WritableStream): ProgressView {
  return {
    update: (progress) => stream.write(`${progressJson(progress)}\n`),
    close: () => undefined,
  };
}

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
        detail: `--${name} cannot be used with a plan: set it in the plan`,
      });
    }
  }
  const plan = await readPlan(file);
  return seed === undefined ? plan : { ...plan, seed };
}

async function mkdirWritable(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await access(folder, constants.W_OK);
}
