/** `flotilla up`: runs everything on one machine, starting from an empty folder. @module */
import { Option, type Command } from 'commander';
import { formatConfig } from '../../core/config/config-text.ts';
import { Lifecycle } from '../../core/lifecycle.ts';
import {
  loadStateAndConfig,
  port,
  stateCommand,
  wholeNumber,
  type CommandAction,
  type StateOptions,
} from '../lib/command-context.ts';
import { reachable } from '../lib/host-port.ts';
import { lockState } from '../lib/run-file.ts';
import type { Runner } from '../lib/runner.ts';
import type { ServeFlags } from '../lib/serving.ts';

export interface UpOptions extends StateOptions, ServeFlags {
  readonly devices?: number;
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
    .action(runner.run(up));
}

/** Adds the options of the commands that run a service. */
export function addServeOptions(command: Command): Command {
  return command
    .option('--host <address>', 'address to listen on (default: 127.0.0.1)')
    .option('--mqtts-port <n>', 'port for MQTT over TLS (default: 8883)', port)
    .option('--wss-port <n>', 'port for MQTT over secure WebSocket (default: 8884)', port)
    .option('--https-port <n>', 'port of the enrollment service (default: 8443)', port)
    .option('--metrics-port <n>', 'port for metrics and health checks (default: 9464)', port)
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
  const { prepareState, serveBroker, serveEnroll, serveUntil, serviceLog, settingsOf } =
    await import('../lib/serving.ts');
  // By default the log is quiet, so that a first look shows the fleet.
  const quiet =
    environment.env['FLOTILLA_LOG__LEVEL'] === undefined && options.logLevel === undefined;
  const { state, config } = await loadStateAndConfig(options, context, {
    ...settingsOf(options),
    ...(quiet ? { log: { level: 'warn' } } : {}),
  });
  if (options.printConfig === true) {
    out.result(config, formatConfig(config).trimEnd());
    return 0;
  }
  const lifecycle = new Lifecycle();
  const stop = environment.stopAsked();
  const failed = await lifecycle.guard(async () => {
    const log = serviceLog(config);
    await lockState(state, ['enroll', 'broker'], lifecycle);
    await prepareState(state, config, log, environment);
    const { https, ca } = await serveEnroll(state, config, log, environment, lifecycle);
    const broker = await serveBroker(state, config, https.url, log, environment, lifecycle);
    const ready = { event: 'ready', ...broker.ready, https, ca, state: state.root };
    out.result(ready, welcome(ready));
    if ((options.devices ?? 0) > 0) {
      const { runDemoFleet } = await import('../lib/demo-fleet.ts');
      lifecycle.add(
        'simulated devices',
        await runDemoFleet({
          devices: options.devices ?? 0,
          state,
          mqtts: broker.ready.mqtts,
          enrollUrl: https.url,
          log,
          out,
        }),
      );
    }
    return { failure: broker.failed };
  });
  return serveUntil(stop, failed.failure, lifecycle, (text) => out.say(text));
};

export interface Ready {
  readonly mqtts: { readonly host: string; readonly port: number };
  readonly wss: { readonly host: string; readonly port: number };
  readonly https: { readonly url: string };
  readonly metrics: { readonly url: string };
  readonly ca: { readonly file: string; readonly fingerprint: string };
  readonly state: string;
}

function welcome(ready: Ready): string {
  const { mqtts, wss, https, metrics, ca, state } = ready;
  const host = reachable(mqtts.host);
  const flag = state === '.flotilla' ? '' : ` --state ${state}`;
  const tls = (folder: string, port: number): string =>
    `--cafile ${folder}/ca.pem --cert ${folder}/chain.pem --key ${folder}/key.pem -h ${host} -p ${port}`;
  return `Flotilla is ready.

  MQTT over TLS        mqtts://${mqtts.host}:${mqtts.port}
  MQTT over WebSocket  wss://${wss.host}:${wss.port}
  enrollment           ${https.url}
  metrics and health   ${metrics.url}
  root certificate     ${ca.file}
  its fingerprint      ${ca.fingerprint}

Enroll a first device:
  npx flotilla device enroll${flag} --id first-device --out first-device

Watch the fleet, and publish as the device:
  npx flotilla service create${flag} --name backend --role service --out backend
  mosquitto_sub ${tls('backend', mqtts.port)} -i backend -t 'devices/#' -v
  mosquitto_pub ${tls('first-device', mqtts.port)} -i first-device -q 1 -t devices/first-device/hello -m hello

Run a fleet of 1,000:
  npx flotilla sim run${flag} --devices 1000 --duration 30s --rate 1 --qos 1

Press Ctrl-C to stop.`;
}
