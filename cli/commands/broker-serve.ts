/** `flotilla broker serve`: runs only a broker, on a machine that needs no CA key. @module */
import { Command } from 'commander';
import { formatConfig } from '../../core/config/config-text.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { Lifecycle } from '../../core/lifecycle.ts';
import { loadStateAndConfig, stateCommand, type CommandAction } from '../lib/command-context.ts';
import { assertAllocator } from '../lib/allocator-check.ts';
import { addInputEndOption, inputEnd, type InputEndOptions } from '../lib/input-end.ts';
import { lockState, readEnrollRun } from '../lib/run-file.ts';
import type { Runner } from '../lib/runner.ts';
import { reportGroupReadableSecrets } from '../lib/secret-report.ts';
import { reportToServiceManager } from '../lib/service-manager.ts';
import { TerminalLog } from '../lib/terminal-log.ts';
import { RunningSettings } from '../lib/setting-changes.ts';
import { addServeOptions, type UpOptions } from './up.ts';

type ServeOptions = UpOptions & InputEndOptions;

export function brokerCommand(runner: Runner): Command {
  return new Command('broker').description('run the MQTT broker').addCommand(
    addInputEndOption(
      addServeOptions(stateCommand('serve', 'run the broker without the enrollment service'), [
        'broker',
      ]),
    )
      .option('--enroll-url <url>', 'URL of the enrollment service, like https://host:port')
      .action(runner.run(serve)),
  );
}

const serve: CommandAction<ServeOptions> = async (options, context) => {
  const { out, environment } = context;
  const { serveBroker, serveUntil, serviceLog, settingsOf } = await import('../lib/serving.ts');
  const { state, config, readAgain } = await loadStateAndConfig(
    options,
    context,
    settingsOf(options),
  );
  if (options.printConfig === true) {
    out.result(config, formatConfig(config).trimEnd());
    return 0;
  }
  const url = config.enroll.url ?? (await readEnrollRun(state))?.https.url;
  if (url === undefined) {
    throw new FlotillaError('service-not-running', { detail: 'enroll.url is not set' });
  }
  assertAllocator(config);
  const lifecycle = new Lifecycle();
  const settings = new RunningSettings(config, readAgain);
  const stop = Promise.race([environment.stopAsked(), inputEnd(options)]);
  const failures = await lifecycle.guard(async () => {
    const terminalLog = new TerminalLog(out.streams.stderr, environment.env);
    const log = serviceLog(config, terminalLog.isShown ? terminalLog : undefined);
    await reportGroupReadableSecrets(state, config, environment, log);
    const { lost } = await lockState(state, ['broker'], lifecycle);
    const broker = await serveBroker(state, settings, url, log, environment, lifecycle, {
      stop,
      waiting(active) {
        out.say(`standby: ${active} is active`);
        // A service manager need not wait until the other broker ends.
        void reportToServiceManager(environment, lifecycle, log, `standby of ${active}`);
      },
    });
    if (broker === undefined) return [];
    const { ready, failed: failure } = broker;
    out.result(
      { event: 'ready', ...ready, state: state.root },
      `broker is ready at mqtts://${ready.mqtts.host}:${ready.mqtts.port}`,
    );
    await reportToServiceManager(environment, lifecycle, log, `mqtts port ${ready.mqtts.port}`);
    return [failure, lost];
  });
  return serveUntil(stop, failures, lifecycle, (text) => out.say(text));
};
