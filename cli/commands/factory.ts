/** `flotilla factory add|list|remove`: manages the manufacturers' CAs whose certificates may enroll. @module */
import { readFile } from 'node:fs/promises';
import { Command } from 'commander';
import { pemOf } from '../../certs/pem.ts';
import { amountText } from '../../core/amount-text.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { adminClient, type AdminOptions } from '../lib/admin-client.ts';
import { readAllowList, type AllowList } from '../lib/allow-list.ts';
import { stateCommand, urlOption, type CommandAction } from '../lib/command-context.ts';
import { confirmed, destructive, type ConfirmationOptions } from '../lib/confirmation.ts';
import { table } from '../lib/output.ts';
import type { Runner } from '../lib/runner.ts';

interface AddOptions extends AdminOptions {
  readonly cert: string;
  readonly group?: string;
  readonly role?: string;
  readonly profile?: string;
  readonly allow?: string;
  readonly deviceId?: string;
  readonly approval?: boolean;
  readonly takeOver?: boolean;
}

export function factoryCommand(runner: Runner): Command {
  return new Command('factory')
    .description(
      "manage the manufacturers' CAs; their device certificates can enroll, but not connect",
    )
    .addCommand(
      stateCommand('add', "register or replace a manufacturer's CA")
        .argument('<name>', 'name of the factory')
        .requiredOption(
          '--cert <file>',
          'file (PEM or DER) of the CA that issues its device certificates',
        )
        .option('--group <name>', 'group of its devices')
        .option('--role <name>', 'role of its devices in the policy (default: device)')
        .option('--profile <name>', 'enrollment profile of its devices')
        .option(
          '--allow <file>',
          'file with the serial numbers of the certificates, or the device ids, that may enroll, one per line (default: all)',
        )
        .option(
          '--take-over',
          'also let its devices replace certificates of devices that it has not enrolled',
        )
        .option(
          '--device-id <rule>',
          'how the id follows from a certificate, such as pump-{serialNumber} (default: {commonName})',
        )
        .option('--approval', 'require the approval of an operator for every enrollment')
        .option(...urlOption)
        .action(runner.runWith(add)),
    )
    .addCommand(
      stateCommand('list', 'list the registered factories')
        .option(...urlOption)
        .action(runner.run(listFactories)),
    )
    .addCommand(
      destructive(stateCommand('remove', 'remove a factory; enrolled devices remain enrolled'))
        .argument('<name>', 'name, as factory list shows it')
        .option(...urlOption)
        .action(runner.runWith(remove)),
    );
}

const add = async (
  name: string,
  ...[options, context]: Parameters<CommandAction<AddOptions>>
): Promise<number> => {
  const certificate = await readCertificateFile(options.cert);
  const list = options.allow === undefined ? undefined : await readAllowList(options.allow);
  const client = await adminClient(options, context);
  const factory = await client.api.putFactory({
    body: {
      name,
      certificate,
      approval: options.approval ?? false,
      takesOver: options.takeOver ?? false,
      ...(options.group === undefined ? {} : { group: options.group }),
      ...(options.role === undefined ? {} : { role: options.role }),
      ...(options.profile === undefined ? {} : { profile: options.profile }),
      ...(list === undefined ? {} : { allowed: list.entries }),
      ...(options.deviceId === undefined ? {} : { deviceId: options.deviceId }),
    },
  });
  const lines = [`${factory.name} is registered`, factory.fingerprint];
  context.out.result(
    list === undefined ? factory : { ...factory, repeatedLines: list.repeatedLines },
    [...lines, ...(list === undefined ? [] : [listText(list)])].join('\n'),
  );
  if (list?.entries.length === 0) {
    context.out.warn('The list is empty: no device of this factory may enroll.');
  }
  return 0;
};

function listText({ entries, names, repeatedLines }: AllowList): string {
  const byName = names === 0 ? '' : ` (${names} by device id)`;
  const allowed = `${amountText(entries.length, 'device')} on the list may enroll${byName}`;
  if (repeatedLines === 0) return allowed;
  return `${allowed}; ${amountText(repeatedLines, 'line repeats', 'lines repeat')} an earlier one`;
}

const listFactories: CommandAction<AdminOptions> = async (options, context) => {
  const client = await adminClient(options, context);
  const page = await client.api.listFactories();
  context.out.result(
    page,
    page.factories.length === 0
      ? 'no factories'
      : table([
          ['NAME', 'GROUP', 'MAY ENROLL', 'APPROVAL', 'ENDS', 'FINGERPRINT'],
          ...page.factories.map((factory) => [
            factory.name,
            factory.group ?? '-',
            factory.allowed === null ? 'all' : String(factory.allowed),
            factory.approval ? 'yes' : 'no',
            context.out.time(factory.notAfter),
            factory.fingerprint,
          ]),
        ]),
  );
  return 0;
};

const remove = async (
  name: string,
  ...[options, context]: Parameters<CommandAction<AdminOptions & ConfirmationOptions>>
): Promise<number> => {
  const client = await adminClient(options, context);
  const change = {
    action: 'remove',
    summary: `remove the factory ${name}`,
    count: 1,
    targets: [name],
    effects: ['Its devices can no longer enroll; devices that have enrolled remain enrolled.'],
  };
  const go = await confirmed(change, options, context);
  if (go !== true) return go;
  await client.api.deleteFactory({ name });
  context.out.result({ name, removed: true }, `removed ${name}`);
  return 0;
};

/** A certificate as PEM. DER begins with a SEQUENCE, which no PEM text does. */
async function readCertificateFile(path: string): Promise<string> {
  try {
    const bytes = await readFile(path);
    return bytes[0] === 0x30 ? pemOf('CERTIFICATE', bytes) : bytes.toString('utf8');
  } catch (error) {
    throw new FlotillaError('input-unreadable', { detail: path, cause: error });
  }
}
