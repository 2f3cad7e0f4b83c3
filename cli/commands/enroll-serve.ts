/** `flotilla enroll serve`: runs only the enrollment service. @module */
import { Command } from 'commander';
import { formatConfig } from '../../core/config/config-text.ts';
import { Lifecycle } from '../../core/lifecycle.ts';
import { loadStateAndConfig, stateCommand, type CommandAction } from '../lib/command-context.ts';
import { addInputEndOption, inputEnd, type InputEndOptions } from '../lib/input-end.ts';
import { lockState } from '../lib/run-file.ts';
import type { Runner } from '../lib/runner.ts';
import { reportToServiceManager } from '../lib/service-manager.ts';
import { TerminalLog } from '../lib/terminal-log.ts';
import { RunningSettings } from '../lib/setting-changes.ts';
import { addServeOptions, type UpOptions } from './up.ts';

type ServeOptions = UpOptions & InputEndOptions;

export function enrollCommand(runner: Runner): Command {
  return new Command('enroll')
    .description('run the enrollment service')
    .addCommand(
      addInputEndOption(
        addServeOptions(stateCommand('serve', 'run the enrollment service without a broker'), [
          'enrollment',
        ]),
      ).action(runner.run(serve)),
    );
}

const serve: CommandAction<ServeOptions> = async (options, context) => {
  const { out, environment } = context;
  const { prepareState, serveEnroll, serveUntil, serviceLog, settingsOf } =
    await import('../lib/serving.ts');
  const { awaitTurn } = await import('../lib/standby.ts');
  const { state, config, readAgain } = await loadStateAndConfig(
    options,
    context,
    settingsOf(options),
  );
  if (options.printConfig === true) {
    out.result(config, formatConfig(config).trimEnd());
    return 0;
  }
  const lifecycle = new Lifecycle();
  const settings = new RunningSettings(config, readAgain);
  const stop = Promise.race([environment.stopAsked(), inputEnd(options)]);
  const failures = await lifecycle.guard(async () => {
    const terminalLog = new TerminalLog(out.streams.stderr, environment.env);
    const log = serviceLog(config, terminalLog.isShown ? terminalLog : undefined);
    const { lost } = await lockState(state, ['enroll'], lifecycle);
    const turn = await awaitTurn({
      ...{ state, config, log, stop, lifecycle },
      waiting(active) {
        out.say(`standby: ${active} is active`);
        // A service manager need not wait until the other instance ends.
        void reportToServiceManager(environment, lifecycle, log, `standby of ${active}`);
      },
    });
    if (turn === undefined) return [];
    const { database } = turn;
    const choices = { newBroker: false, database };
    await prepareState(state, config, log, environment, { ...choices, isStarting: true });
    const parts = await serveEnroll(state, settings, log, environment, lifecycle, choices);
    const { https, metrics, ca } = parts;
    out.result(
      { event: 'ready', https, metrics, ca, state: state.root },
      `enrollment is ready at ${https.url}\nroot ${ca.fingerprint}`,
    );
    await reportToServiceManager(environment, lifecycle, log, `enrollment ${https.url}`);
    return [lost, ...turn.failures];
  });
  return serveUntil(stop, failures, lifecycle, (text) => out.say(text));
};
