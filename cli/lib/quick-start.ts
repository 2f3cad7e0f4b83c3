/**
 * What `flotilla up` prints when it is ready: addresses, and commands to paste.
 *
 * @module
 */
import { isLoopback, publicHost } from '../../core/config/public-address.ts';
import type { Config } from '../../core/config/config.ts';
import { defaultStateFolder } from '../../core/state-folder.ts';
import { shellWord } from './local-command.ts';

export interface UpAddresses {
  readonly mqtts: { readonly host: string; readonly port: number };
  readonly wss: { readonly host: string; readonly port: number };
  readonly https: { readonly url: string };
  readonly metrics: { readonly url: string };
  readonly ca: { readonly file: string; readonly fingerprint: string };
  readonly state: string;
}

/** The commands to try first, each on one line. They are typed in a second terminal. */
export function quickStartCommands(ready: UpAddresses, command: string): readonly string[] {
  const state = ready.state === defaultStateFolder ? '' : ` --state ${shellWord(ready.state)}`;
  return [
    `${command} device enroll${state} --id first-device --out first-device`,
    `${command} service create${state} --name backend --role service --out backend`,
    `${command} sub${state} --dir backend 'devices/#'`,
    `${command} pub${state} --dir first-device devices/first-device/hello hello`,
    `${command} sim run${state} --devices 1000 --duration 30s`,
  ];
}

/**
 * The whole text.
 *
 * @param consoleUrl signs a browser in; without it the text names the command that prints one
 */
export function welcomeText(
  ready: UpAddresses,
  config: Config,
  command: string,
  consoleUrl?: string,
): string {
  const { mqtts, wss, https, metrics, ca } = ready;
  const host = publicHost(config, mqtts.host);
  const shown = host.includes(':') ? `[${host}]` : host;
  const [enroll, service, sub, pub, sim] = quickStartCommands(ready, command);
  const reach = isLoopback(mqtts.host) || !isLoopback(host) ? [] : missingName;
  return [
    'Flotilla is ready.',
    '',
    `  MQTT over TLS        mqtts://${shown}:${mqtts.port}`,
    `  MQTT over WebSocket  wss://${shown}:${wss.port}`,
    `  enrollment           ${config.enroll.url ?? https.url.replace(new URL(https.url).hostname, shown)}`,
    `  metrics and health   ${metrics.url}`,
    `  web console          ${consoleUrl ?? `run: ${consoleCommandOf(ready, command)}`}`,
    `  root certificate     ${ca.file}`,
    `  its fingerprint      ${ca.fingerprint}`,
    ...reach,
    '',
    'In a second terminal, in the same folder. Enroll a first device:',
    `  ${enroll}`,
    '',
    'Watch the fleet as a backend, and publish as the device:',
    `  ${service}`,
    `  ${sub}`,
    `  ${pub}`,
    '',
    'Run a fleet of 1,000:',
    `  ${sim}`,
    '',
    'Ctrl-C stops.',
  ].join('\n');
}

/** `flotilla console`, for the state folder of this service. */
function consoleCommandOf({ state }: UpAddresses, command: string): string {
  return `${command} console${state === defaultStateFolder ? '' : ` --state ${shellWord(state)}`}`;
}

const missingName = [
  '',
  'These addresses work on this machine only: names is not set. Write the name that devices use into',
  'flotilla.yaml (names: [broker.example.com]) and start again.',
];

/** The block below the live screen: the same commands in at most 8 short lines. The URL has a line of its own: it fits in 80 columns. */
export function quickStartFooter(
  ready: UpAddresses,
  command: string,
  consoleUrl?: string,
): readonly string[] {
  const { mqtts, wss, https, metrics } = ready;
  const port = (url: string): string => new URL(url).port;
  const ports = `mqtts ${mqtts.port}  wss ${wss.port}  https ${port(https.url)}  metrics ${port(metrics.url)}`;
  return [
    ...(consoleUrl === undefined
      ? [`ports: ${ports}`]
      : [`ports: ${ports}  web console:`, consoleUrl]),
    'in a second terminal:',
    ...quickStartCommands(ready, command),
  ];
}
