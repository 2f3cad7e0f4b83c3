/** `flotilla sim prepare`: creates keys and certificates before a run. @module */
import { amountText } from '../../core/amount-text.ts';
import { systemClock } from '../../core/clock.ts';
import { createLog } from '../../core/log.ts';
import { readPlan } from '../../device-sim/plan/read-plan.ts';
import { prepareFleet, prepareFolder } from '../../device-sim/prepare.ts';
import type { Context } from '../lib/command-context.ts';
import { simTarget, type TargetOptions } from '../lib/sim-target.ts';
import { progressView } from '../lib/progress-view.ts';

export interface PrepareOptions extends TargetOptions {
  readonly out?: string;
  readonly names?: readonly string[];
}

export const prepare = async (
  file: string,
  options: PrepareOptions,
  context: Context,
): Promise<number> => {
  const { out, environment } = context;
  const plan = await readPlan(file);
  if (options.out !== undefined) {
    const names = options.names ?? ['localhost', '127.0.0.1'];
    const made = await prepareFolder(plan, options.out, names, systemClock);
    out.result(
      made,
      `${options.out}: ${amountText(made.devices, 'device')}, ${made.reused} existed already`,
    );
    return made.failed === 0 ? 0 : 1;
  }
  const stop = new AbortController();
  void environment.stopAsked().then(() => stop.abort());
  const view = progressView(out.streams.stderr, environment.env);
  const made = await prepareFleet(plan, {
    target: await simTarget(options, context, plan.run.brokers),
    log: createLog({ level: 'warn' }),
    clock: systemClock,
    progress: (progress) => view.update(progress),
    signal: stop.signal,
  }).finally(() => view.close());
  out.result(
    made,
    `${amountText(made.devices, 'device')} prepared, ${made.reused} existed already, ${made.failed} failed`,
  );
  return made.failed === 0 ? 0 : 1;
};
