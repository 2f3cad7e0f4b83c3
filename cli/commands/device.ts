/** `flotilla device …`: enrolls on the device, and manages devices for the operator. @module */
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { Command, Option } from 'commander';
import { keyTypes, type KeyType } from '../../certs/key.ts';
import type { DeviceId } from '../../core/device-id.ts';
import type {
  GetDeviceHistoryResponse,
  GetDeviceResponse,
} from '../../core/protocol/api-client.ts';
import { identityStatuses, type IdentityStatus } from '../../core/protocol/enrollment-api.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { adminClient, type AdminOptions } from '../lib/admin-client.ts';
import {
  command,
  deviceId,
  durationMs,
  stateCommand,
  urlOption,
  wholeNumber,
  type CommandAction,
} from '../lib/command-context.ts';
import { enrollInto } from '../lib/enroll-device.ts';
import { hostPort } from '../lib/host-port.ts';
import { table, type Output } from '../lib/output.ts';
import { localBroker } from '../lib/run-file.ts';
import { statusText } from '../lib/style.ts';
import type { Runner } from '../lib/runner.ts';
import { agentCommand } from './device-agent.ts';
import { bulkCommand } from './device-bulk.ts';
import { renewCommand } from './device-renew.ts';
import { restrictionCommands } from './device-restriction.ts';
import { transferCommands } from './device-transfer.ts';

interface EnrollOptions extends Partial<AdminOptions> {
  readonly fingerprint?: string;
  readonly mqtts?: string;
  readonly token?: string | false;
  readonly factoryCert?: string;
  readonly factoryKey?: string;
  readonly id: DeviceId;
  readonly out: string;
  readonly keyType: KeyType;
  readonly names?: readonly string[];
  readonly wait: number;
}

interface ListOptions extends AdminOptions {
  readonly prefix?: string;
  readonly group?: string;
  readonly role?: string;
  readonly status?: IdentityStatus;
  readonly attribute?: string;
  readonly expiresWithin?: number;
  readonly limit?: number;
  readonly after?: string;
}

export function deviceCommand(runner: Runner): Command {
  const one = (name: string, description: string): Command =>
    stateCommand(name, description)
      .argument('<id>', 'the device', deviceId)
      .option(...urlOption);
  const device = new Command('device')
    .description('enroll and renew on the device; list, revoke and manage devices as an operator')
    .addCommand(
      command('enroll', 'on the device: generate a key, verify the root CA and get a certificate')
        .requiredOption('--id <id>', 'the device id', deviceId)
        .requiredOption('--out <dir>', 'folder for key.pem, cert.pem, chain.pem and ca.pem')
        .option('--url <url>', 'URL of the enrollment service')
        .option('--fingerprint <sha256:…>', 'fingerprint of the root CA')
        .option(
          '--mqtts <host:port>',
          'broker that tests the certificates of later renewals (default with --state: the one that runs there)',
        )
        .option(
          '--token <token>',
          'enrollment token; - reads it from stdin (default: FLOTILLA_TOKEN)',
        )
        .option(
          '--factory-cert <file>',
          'factory certificate (PEM chain) to authenticate with instead of a token',
        )
        .option('--factory-key <file>', 'key of the factory certificate')
        .option('--no-token', 'enroll without a credential; an operator has to approve')
        .addOption(
          new Option(
            '--state <dir>',
            'on the machine of the service: state folder to get its URL and a token from',
          ).env('FLOTILLA_STATE'),
        )
        .addOption(
          new Option('--key-type <type>', 'type of the key').choices(keyTypes).default('p256'),
        )
        .option(
          '--names <name...>',
          'DNS names, addresses and URIs of the device as a server, if its profile allows them',
        )
        .addOption(
          new Option('--wait <duration>', 'how long to wait for the approval')
            .argParser(durationMs)
            .default(0, '0s'),
        )
        .action(runner.run(enroll)),
    )
    .addCommand(
      renewCommand(runner).option(
        '--names <name...>',
        'other names of the device as a server (default: those of the current certificate)',
      ),
    )
    .addCommand(agentCommand(runner))
    .addCommand(
      stateCommand('list', 'list the registered devices')
        .option('--prefix <text>', 'only ids that begin with this text')
        .option('--group <name>', 'only devices of this group')
        .option('--role <name>', 'only devices with this role in the policy')
        .addOption(
          new Option('--status <status>', 'only devices with this status').choices(
            identityStatuses,
          ),
        )
        .option('--attribute <name=value>', 'only devices with this attribute')
        .option(
          '--expires-within <duration>',
          'only devices whose certificate expires within this time',
          durationMs,
        )
        .option('--limit <n>', 'maximum number of devices', wholeNumber)
        .option('--after <id>', 'start after this id, for the next page')
        .option(...urlOption)
        .action(runner.run(list)),
    )
    .addCommand(one('show', 'show one device').action(runner.runWith(show)));
  for (const restriction of restrictionCommands(runner)) device.addCommand(restriction);
  device.addCommand(bulkCommand(runner));
  for (const transfer of transferCommands(runner)) device.addCommand(transfer);
  return device;
}

const enroll: CommandAction<EnrollOptions> = async (options, context) => {
  let { url: service, fingerprint, mqtts } = options;
  if (mqtts !== undefined) hostPort(mqtts, 8883);
  const factory = await factoryProof(options);
  const tokenless = options.token === false || factory !== undefined;
  let token = tokenless ? undefined : await readToken(options.token, context.environment.env);
  if ((!tokenless && token === undefined) || service === undefined || fingerprint === undefined) {
    // On the machine of the service itself, the administrator's certificate is used instead.
    const local = { ...options, state: options.state ?? '.flotilla' };
    const client = await adminClient(local, context).catch((error: unknown) => {
      throw new FlotillaError('usage', {
        detail:
          'device enroll needs --url, --fingerprint and --token or --no-token (or --state on the server)',
        cause: error,
      });
    });
    service ??= client.url;
    mqtts ??= await localBroker(local.state);
    fingerprint ??= client.rootFingerprint();
    token ??= tokenless
      ? undefined
      : (await client.api.createToken({ body: { device: options.id, ttlSeconds: 600 } })).token;
  }
  const bearer = token;
  const target = service;
  const made = await enrollInto({
    folder: options.out,
    id: options.id,
    keyType: options.keyType,
    names: options.names ?? [],
    url: target,
    fingerprint,
    mqtts,
    waitMs: options.wait,
    waiting: (seconds, keyFingerprint) =>
      context.out.warn(
        `waiting for approval of the key ${keyFingerprint}, next attempt in ${seconds} s`,
      ),
    call: (ca, csr) => ({
      method: 'POST',
      url: new URL('/v1/enroll', target).href,
      ca,
      ...(bearer === undefined ? {} : { bearer }),
      ...factory,
      body: { device: options.id, csr },
    }),
  });
  context.out.result(
    made,
    `enrolled ${made.device}; its certificate ends ${context.out.moment(made.notAfter)}\n${Object.values(made.files).join('\n')}`,
  );
  return 0;
};

/**
 * The enrollment token: `--token T`, `--token -` (stdin), or `FLOTILLA_TOKEN`, so that it need not be
 * in the shell's history. Undefined when none is given.
 */
async function readToken(
  option: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Promise<string | undefined> {
  const token = option === '-' ? await text(process.stdin) : (option ?? env['FLOTILLA_TOKEN']);
  // A token that was read from a file can end with a line break of any kind.
  const trimmed = token?.trim();
  // Other characters cannot be sent in a header.
  if (trimmed !== undefined && !/^[\x21-\x7e]*$/.test(trimmed)) {
    throw new FlotillaError('token-invalid', { detail: 'it has characters that no token has' });
  }
  return trimmed;
}

async function factoryProof(
  options: EnrollOptions,
): Promise<{ cert: string; key: string } | undefined> {
  const { factoryCert, factoryKey } = options;
  if (factoryCert === undefined && factoryKey === undefined) return undefined;
  if (factoryCert === undefined || factoryKey === undefined) {
    throw new FlotillaError('usage', { detail: '--factory-cert and --factory-key go together' });
  }
  try {
    const [cert, key] = await Promise.all([
      readFile(factoryCert, 'utf8'),
      readFile(factoryKey, 'utf8'),
    ]);
    return { cert, key };
  } catch (error) {
    throw new FlotillaError('input-unreadable', { detail: factoryCert, cause: error });
  }
}

const list: CommandAction<ListOptions> = async (options, context) => {
  const client = await adminClient(options, context);
  const { prefix, group, role, status, attribute, limit, after, expiresWithin } = options;
  const expiresWithinSeconds =
    expiresWithin === undefined ? undefined : Math.ceil(expiresWithin / 1000);
  const page = await client.api.listDevices({
    query: { prefix, group, role, status, attribute, limit, after, expiresWithinSeconds },
  });
  const more = page.next === null ? '' : `\nmore with --after ${page.next}`;
  context.out.result(page, `${deviceTable(page.devices, context.out)}${more}`);
  return 0;
};

const show = async (
  id: string,
  options: AdminOptions,
  context: Parameters<CommandAction<AdminOptions>>[1],
): Promise<number> => {
  const client = await adminClient(options, context);
  const device = await client.api.getDevice({ id });
  const { out } = context;
  if (out.json) {
    out.result(device, '');
    return 0;
  }
  const { entries } = await client.api.getDeviceHistory({ id, query: { limit: historyLines } });
  const refused = entries.filter(({ kind }) => kind === 'refused' || kind === 'denied');
  out.result(device, deviceText(device, refused.slice(0, refusalsShown), out));
  return 0;
};

/** Lines of the audit log that are searched for refusals, and how many of these are shown. */
const historyLines = 100;
const refusalsShown = 3;

function deviceTable(devices: readonly GetDeviceResponse[], out: Output): string {
  if (devices.length === 0) return 'no devices';
  return table([
    ['ID', 'ROLE', 'STATUS', 'GROUP', 'CONNECTED', 'CERTIFICATE ENDS', 'LAST SEEN'],
    ...devices.map((device) => [
      device.id,
      device.role,
      statusText(device.status, out.style),
      device.group ?? '-',
      device.connected ? out.style.color('green', 'yes') : 'no',
      out.time(
        device.certificates
          .filter((certificate) => certificate.status === 'active')
          .map((certificate) => certificate.notAfter)
          .sort()
          .at(-1),
      ),
      // The service stores the time of the last connect and of the disconnect.
      device.connected ? 'now' : out.time(device.lastSeenAt),
    ]),
  ]);
}

function deviceText(
  device: GetDeviceResponse,
  refusals: GetDeviceHistoryResponse['entries'],
  out: Output,
): string {
  const attributes = Object.entries(device.attributes).map(([name, value]) => `${name}=${value}`);
  const brokers = (device.brokers ?? []).join(', ');
  return [
    `device       ${device.id}`,
    `role         ${device.role}`,
    `status       ${statusText(device.status, out.style)}`,
    `group        ${device.group ?? '-'}`,
    `attributes   ${attributes.join(', ') || '-'}`,
    `connected    ${device.connected ? `yes, to ${brokers}` : 'no'}`,
    `last seen    ${lastSeen(device, out)}`,
    ...device.certificates.flatMap(
      ({ serial, status, notBefore, notAfter, fingerprint, names = [] }) => [
        `certificate  ${statusText(status, out.style)}, ends ${out.moment(notAfter)}`,
        `             valid from ${notBefore}, serial ${serial}`,
        ...(names.length === 0 ? [] : [`             server ${names.join(', ')}`]),
        `             ${fingerprint}`,
      ],
    ),
    ...refusals.map(
      ({ at, kind, action, detail, remoteAddress }) =>
        `${kind.padEnd(11)}  ${out.moment(at)} ${[detail['code'] ?? action, detail['topic'], remoteAddress].filter((part) => part !== undefined && part !== null).join(' ')}`,
    ),
  ].join('\n');
}

function lastSeen({ connected, lastSeenAt }: GetDeviceResponse, out: Output): string {
  if (lastSeenAt === null) return 'never';
  return connected ? `now, connected ${out.moment(lastSeenAt)}` : out.moment(lastSeenAt);
}
