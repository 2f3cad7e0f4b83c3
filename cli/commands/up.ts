/** `flotilla up`: runs everything on one machine, starting from an empty folder. @module */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { formatConfig } from '../../core/config/config-text.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { Lifecycle } from '../../core/lifecycle.ts';
import {
  loadStateAndConfig,
  port,
  stateCommand,
  wholeNumber,
  type CommandAction,
  type StateOptions,
} from '../lib/command-context.ts';
import { assertNoCluster } from '../lib/cluster-mark.ts';
import { startLocalConsole } from '../lib/local-console.ts';
import { localCommand } from '../lib/local-command.ts';
import { quickStartFooter, welcomeText } from '../lib/quick-start.ts';
import { assertAllocator } from '../lib/allocator-check.ts';
import { lockState } from '../lib/run-file.ts';
import { hasLiveScreen } from '../lib/progress-view.ts';
import type { Runner } from '../lib/runner.ts';
import { reportToServiceManager } from '../lib/service-manager.ts';
import { RunningSettings } from '../lib/setting-changes.ts';
import type { ServeFlags } from '../lib/serving.ts';
import { TerminalLog } from '../lib/terminal-log.ts';

export interface UpOptions extends StateOptions, ServeFlags {
  readonly demo?: boolean;
  readonly devices?: number;
  readonly nodes?: number;
  readonly database?: string;
  readonly printConfig?: boolean;
}

export function upCommand(runner: Runner): Command {
  return addServeOptions(
    stateCommand(
      'up',
      'create what is missing, start the enrollment service and the broker, run until stopped',
    ),
  )
    .option('--devices <n>', 'also run this many simulated devices', wholeNumber, 0)
    .option(
      '--demo',
      'also run devices that need attention: one waits for approval, one is denied a topic, one has a certificate that ends soon',
    )
    .option(
      '--nodes <n>',
      'run a cluster of 2 to 5 brokers and 2 enrollment instances with PostgreSQL, to see a failover',
      nodeCount,
    )
    .option(
      '--database <url>',
      'with --nodes: a PostgreSQL database, like postgres://user@host/name (default: one is created in the state folder)',
    )
    .action(runner.run(up));
}

/** Parses the number of brokers of a cluster. */
function nodeCount(text: string): number {
  const value = wholeNumber(text);
  if (value < 2 || value > 5) throw new InvalidArgumentError('A cluster has 2 to 5 brokers.');
  return value;
}

/**
 * Adds the options of the commands that run services. The help shows only those that the services use; the others are
 * accepted, because scripts pass the same options to both.
 */
export function addServeOptions(
  command: Command,
  services: readonly ('broker' | 'enrollment')[] = ['broker', 'enrollment'],
): Command {
  const portOption = (service: (typeof services)[number], flag: string, text: string): Option =>
    new Option(`${flag} <n>`, text).argParser(port).hideHelp(!services.includes(service));
  command
    .option('--host <address>', 'address to listen on (default: 127.0.0.1)')
    .addOption(portOption('broker', '--mqtts-port', 'port for MQTT over TLS (default: 8883)'))
    .addOption(
      portOption('broker', '--wss-port', 'port for MQTT over secure WebSocket (default: 8884)'),
    )
    .addOption(
      portOption('enrollment', '--https-port', 'port of the enrollment service (default: 8443)'),
    );
  const usual = { broker: 9464, enrollment: 9465 };
  const [first = 'broker', second] = services;
  return command
    .option(
      '--metrics-port <n>',
      second === undefined
        ? `port for metrics and health checks (default: ${usual[first]})`
        : `port for metrics and health checks of the broker; that of enrollment is the next one (default: ${usual.broker}, ${usual.enrollment})`,
      port,
    )
    .addOption(
      new Option('--log-level <level>', 'lowest level that is logged').choices([
        'trace',
        'debug',
        'info',
        'warn',
        'error',
        'silent',
      ]),
    )
    .option('--print-config', 'print the effective configuration and exit');
}

const up: CommandAction<UpOptions> = async (options, context) => {
  const { out, environment } = context;
  // Loading the services and creating the CA take a few seconds on a small machine.
  if (hasLiveScreen(out.streams.stderr) && options.printConfig !== true) {
    out.warn(`starting; the state is in ${options.state}`);
  }
  if (options.nodes !== undefined) {
    const { upCluster } = await import('../cluster/up-cluster.ts');
    return upCluster(options, context);
  }
  if (options.database !== undefined) {
    throw new FlotillaError('usage', { detail: '--database needs --nodes' });
  }
  const { prepareState, serveBroker, serveEnroll, serveUntil, serviceLog, settingsOf } =
    await import('../lib/serving.ts');
  // By default the log is quiet, so that a first look shows the fleet.
  const quiet =
    environment.env['FLOTILLA_LOG__LEVEL'] === undefined && options.logLevel === undefined;
  const settings = settingsOf(options, 'both');
  const demo = options.demo === true ? await import('../lib/demo-actors.ts') : undefined;
  const { state, config, readAgain } = await loadStateAndConfig(options, context, {
    ...settings,
    ...(demo === undefined ? {} : { enroll: { ...settings.enroll, ...demo.demoSettings } }),
    ...(quiet ? { log: { level: 'warn' } } : {}),
  });
  if (options.printConfig === true) {
    out.result(config, formatConfig(config).trimEnd());
    return 0;
  }
  assertAllocator(config);
  await assertNoCluster(state);
  const lifecycle = new Lifecycle();
  const running = new RunningSettings(config, readAgain);
  const stop = environment.stopAsked();
  const failures = await lifecycle.guard(async () => {
    const terminalLog = new TerminalLog(out.streams.stderr, environment.env);
    const log = serviceLog(config, terminalLog.isShown ? terminalLog : undefined);
    const { lost } = await lockState(state, ['enroll', 'broker'], lifecycle);
    const { awaitTurn } = await import('../lib/standby.ts');
    const turn = await awaitTurn({
      ...{ state, config, log, stop, lifecycle },
      waiting: (active) => out.say(`standby: ${active} is active`),
    });
    if (turn === undefined) return [];
    const { database } = turn;
    await prepareState(state, config, log, environment, { database, isStarting: true });
    const {
      https,
      metrics: enrollMetrics,
      ca,
    } = await serveEnroll(state, running, log, environment, lifecycle, {
      database,
      simulationRunner: (await import('../lib/simulation-process.ts')).simulationProcesses(
        state.root,
      ),
    });
    const broker = await serveBroker(state, running, https.url, log, environment, lifecycle, {
      stop,
      waiting: (active) => out.say(`standby of the broker: ${active} is active`),
    });
    if (broker === undefined) return [];
    const ready = { event: 'ready', ...broker.ready, https, enrollMetrics, ca, state: state.root };
    const command = localCommand(environment.env);
    // The URL signs in as the administrator: it is shown to a person, and never written to a log.
    const isTerminal = !out.json && hasLiveScreen(out.streams.stdout);
    const consoleUrl = isTerminal
      ? await startLocalConsole(state, https.url, lifecycle)
      : undefined;
    out.result(ready, welcomeText(ready, config, command, consoleUrl));
    await reportToServiceManager(
      environment,
      lifecycle,
      log,
      `mqtts port ${ready.mqtts.port}, enrollment ${https.url}`,
    );
    if ((options.devices ?? 0) > 0) {
      const { runDemoFleet } = await import('../lib/demo-fleet.ts');
      const fleet = await runDemoFleet({
        devices: options.devices ?? 0,
        state,
        mqtts: broker.ready.mqtts,
        enrollUrl: https.url,
        log,
        out,
        env: environment.env,
        terminalLog,
        footer: quickStartFooter(ready, command, consoleUrl),
      });
      // What is printed after the request to stop belongs on the screen before.
      void stop.then(() => fleet.closeView());
      lifecycle.add('simulated devices', () => fleet.stop());
    }
    if (demo !== undefined) {
      const { mqtts } = broker.ready;
      const actors = { state, mqtts, enrollUrl: https.url, fingerprint: ca.fingerprint, log };
      lifecycle.add('devices of the demonstration', await demo.startDemoActors(actors));
    }
    return [broker.failed, lost, ...turn.failures];
  });
  const code = await serveUntil(stop, failures, lifecycle, (text) => out.say(text));
  out.say(
    `stopped; the state is kept in ${state.root}, and the next flotilla up continues with it`,
  );
  return code;
};
