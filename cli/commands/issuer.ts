/** `flotilla issuer …`: the CAs that issue certificates. Works also while the service is stopped. @module */
import { Command, Option } from 'commander';
import { amountText } from '../../core/amount-text.ts';
import { writeFileAtomic } from '../../core/atomic-file.ts';
import { systemClock } from '../../core/clock.ts';
import type { WithdrawIssuerResponse } from '../../core/protocol/api-client.ts';
import type { RootedPurpose, SignedPurpose } from '../../enroll/ca/ca-inventory.ts';
import { adminClient, type AdminOptions } from '../lib/admin-client.ts';
import { retireAuthority, shownAuthority } from '../lib/authority-retirement.ts';
import { changeCa, localActor, type CaFiles } from '../lib/ca-access.ts';
import { stateCommand, urlOption, type CommandAction } from '../lib/command-context.ts';
import { confirmed, destructive, type ConfirmationOptions } from '../lib/confirmation.ts';
import { table } from '../lib/output.ts';
import { readPemFile } from '../lib/pem-input.ts';
import { reportUnconfirmed, unconfirmedExit } from '../lib/unconfirmed.ts';
import type { Runner } from '../lib/runner.ts';
import { issuerImportCommand } from './signed-issuer.ts';

interface AddOptions extends AdminOptions {
  readonly purpose: SignedPurpose;
}

interface PurposeOptions extends AdminOptions {
  readonly purpose: RootedPurpose;
}

export function issuerCommand(runner: Runner): Command {
  return new Command('issuer')
    .description('manage the CAs that issue certificates')
    .addCommand(
      stateCommand('list', 'list the trusted issuers, the current one first')
        .option(...urlOption)
        .action(runner.run(list)),
    )
    .addCommand(
      stateCommand(
        'add',
        'create a new issuer, which issues certificates as soon as every broker trusts it',
      )
        .addOption(purposeOption('device-servers'))
        .option(...urlOption)
        .action(runner.run(add)),
    )
    .addCommand(
      stateCommand('request', 'make a key and a request for an issuer that another CA certifies')
        .requiredOption('--out <file>', 'file for the request (PEM)')
        .option(
          '--token <file>',
          'file with the PKCS#11 URI of a key on a token (default: a new key)',
        )
        .addOption(purposeOption())
        .option(...urlOption)
        .action(runner.run(request)),
    )
    .addCommand(issuerImportCommand(runner))
    .addCommand(
      destructive(
        stateCommand('withdraw', 'stop trusting an issuer: when nothing needs it, or at once'),
      )
        .argument('<fingerprint>', 'fingerprint, as ca status shows it')
        .option(
          '--compromised',
          'its key is in other hands: withdraw it at once, with everything of it',
        )
        .option(...urlOption)
        .action(runner.runWith(withdraw)),
    )
    .addCommand(
      destructive(stateCommand('retire', 'remove a former issuer that no active certificate needs'))
        .argument('<fingerprint>', 'fingerprint, as issuer list shows it')
        .option(...urlOption)
        .action(runner.runWith(retire)),
    );
}

function purposeOption(...others: readonly string[]): Option {
  return new Option('--purpose <purpose>', 'what the issuer signs')
    .choices(['devices', 'services', ...others])
    .default('devices');
}

const list: CommandAction<AdminOptions> = async (options, context) => {
  const client = await adminClient(options, context);
  const page = await client.api.listIssuers();
  context.out.result(
    page,
    table([
      ['CURRENT', 'FOR', 'NAME', 'EXPIRES', 'FINGERPRINT'],
      ...page.issuers.map((issuer) => [
        issuer.current ? context.out.style.color('green', 'yes') : 'no',
        issuer.purpose ?? 'all',
        issuer.name,
        context.out.time(issuer.notAfter),
        issuer.fingerprint,
      ]),
    ]),
  );
  return 0;
};

const add: CommandAction<AddOptions> = async (options, context) => {
  const { purpose } = options;
  const issuer = await changeCa(
    options,
    context,
    (client) => client.api.addIssuer({ body: { purpose } }),
    async ({ prepare, open }) => {
      const { signingIssuer } = await import('../../enroll/ca/ca-inventory.ts');
      const isFirst = await addFirstIssuers(await prepare());
      const { changes, ca, added } = await open();
      const signing = signingIssuer(ca.inventory, purpose)?.certificate;
      // Opening the CA has replaced an issuer that had ended.
      const isDone = isFirst || added.some((one) => one.purpose === purpose);
      const made =
        isDone && signing !== undefined
          ? signing
          : await changes.issuers.introduce(localActor, purpose);
      return { ...shownAuthority(made), current: true, purpose };
    },
  );
  context.out.result(
    issuer,
    `${issuer.name} is trusted by every broker and is now the current issuer\n${issuer.fingerprint}`,
  );
  return 0;
};

/** Below a root without issuers, for example after their keys were lost, the first two come before everything else. */
async function addFirstIssuers({ state, passphrase }: CaFiles): Promise<boolean> {
  const { createIssuer, hasCa } = await import('../../enroll/ca/ca-folder.ts');
  if (await hasCa(state)) return false;
  for (const purpose of ['devices', 'services'] as const) {
    await createIssuer(state, passphrase, { clock: systemClock }, purpose);
  }
  return true;
}

interface RequestOptions extends PurposeOptions {
  readonly out: string;
  readonly token?: string;
}

const request: CommandAction<RequestOptions> = async (options, context) => {
  const { purpose, out, token } = options;
  const uri = token === undefined ? undefined : (await readPemFile(token)).trim();
  const inFiles = async (prepare: () => Promise<CaFiles>): ReturnType<typeof requestIn> =>
    requestIn(await prepare(), purpose, uri);
  const made = await changeCa(
    options,
    context,
    // The URI may contain the PIN, so it does not travel: the service finds the key in its folder.
    (client, prepare) =>
      uri === undefined ? client.api.requestIssuer({ body: { purpose } }) : inFiles(prepare),
    ({ prepare }) => inFiles(prepare),
  );
  await writeFileAtomic(out, made.csr, 0o644);
  context.out.result(
    { key: made.key, request: out },
    `wrote ${out}; its key ${made.key} stays here\nLet the other CA sign it, then run flotilla issuer import with the chain`,
  );
  return 0;
};

async function requestIn(
  { state, passphrase, nowMs }: CaFiles,
  purpose: RootedPurpose,
  uri: string | undefined,
): Promise<{ readonly key: string; readonly csr: string }> {
  const { requestIssuer } = await import('../../enroll/ca/issuer-import.ts');
  return requestIssuer(state, passphrase, purpose, nowMs, uri);
}

type WithdrawOptions = AdminOptions & ConfirmationOptions & { readonly compromised?: boolean };

const withdraw = async (
  fingerprint: string,
  ...[options, context]: Parameters<CommandAction<WithdrawOptions>>
): Promise<number> => {
  if (options.compromised !== true) return retire(fingerprint, options, context);
  const change = {
    action: 'withdraw',
    summary: `withdraw the issuer ${fingerprint}`,
    count: 1,
    targets: [fingerprint],
    effects: [
      'Brokers close the connections of its certificates and refuse them.',
      'Its devices have to enroll again, or renew if enroll.renewWithdrawn allows it.',
    ],
  };
  const go = await confirmed(change, options, context);
  if (go !== true) return go;
  const done = await changeCa(
    options,
    context,
    (client) => client.api.withdrawIssuer({ fingerprint, body: { compromised: true } }),
    async ({ open }) => (await open()).changes.withdrawal.withdraw(fingerprint, localActor),
  );
  context.out.result(done, withdrawnText(done));
  const exit = reportUnconfirmed({ brokersAbsent: done.brokersAbsent }, context.out);
  return done.brokersLate > 0 ? unconfirmedExit : exit;
};

function withdrawnText(done: WithdrawIssuerResponse): string {
  const lines = [
    `withdrew ${done.fingerprint}`,
    `${amountText(done.connectionsClosed, 'connection')} closed at ${amountText(done.brokers, 'broker')}; ${amountText(done.certificates, 'certificate is', 'certificates are')} refused`,
    ...done.replacements.map((one) => `${one} signs instead`),
    done.onRootCrl
      ? 'the list of the root contains it'
      : 'the list of the root does not contain it yet: run flotilla root crl with the key of the root',
  ];
  if (done.brokersLate > 0)
    lines.push(`${amountText(done.brokersLate, 'broker has', 'brokers have')} not reported yet`);
  return lines.join('\n');
}

const retire = async (
  fingerprint: string,
  ...[options, context]: Parameters<CommandAction<AdminOptions & ConfirmationOptions>>
): Promise<number> => {
  return retireAuthority(
    {
      fingerprint,
      kind: 'issuer',
      effect: 'Certificates of this issuer are no longer accepted; this cannot be undone.',
      online: (client) => client.api.retireIssuer({ fingerprint }),
      stopped: ({ changes }) => changes.issuers.retire(fingerprint, localActor),
    },
    options,
    context,
  );
};
