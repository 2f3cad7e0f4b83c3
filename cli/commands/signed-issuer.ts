/** `flotilla issuer import`: takes an issuer that another CA has certified. @module */
import type { Command } from 'commander';
import type { ImportIssuerResponse } from '../../core/protocol/api-client.ts';
import type { AdminOptions } from '../lib/admin-client.ts';
import { shownAuthority } from '../lib/authority-retirement.ts';
import { changeCa, localActor, type StoppedState } from '../lib/ca-access.ts';
import { stateCommand, urlOption, type CommandAction } from '../lib/command-context.ts';
import { readKeyFile, readPemFile } from '../lib/pem-input.ts';
import type { Runner } from '../lib/runner.ts';

interface ImportOptions extends AdminOptions {
  readonly key?: string;
  readonly keyPassphraseFile?: string;
  readonly external?: boolean;
}

export function issuerImportCommand(runner: Runner): Command {
  return stateCommand('import', 'take an issuer that another CA has certified')
    .argument('<chain>', 'PEM file: the issuer, then the CAs between it and the root')
    .option('--key <file>', 'private key of the issuer (default: that of flotilla issuer request)')
    .option('--key-passphrase-file <file>', 'file with the passphrase of the private key')
    .option('--external', 'its key is at the external CA of enroll.externalCa')
    .option(...urlOption)
    .action(runner.runWith(importIssuer));
}

const importIssuer = async (
  file: string,
  ...[options, context]: Parameters<CommandAction<ImportOptions>>
): Promise<number> => {
  const chain = await readPemFile(file);
  const key =
    options.key === undefined
      ? undefined
      : await readKeyFile(options.key, options.keyPassphraseFile);
  const issuer = await changeCa(
    options,
    context,
    async (client, prepare) => {
      if (key !== undefined) {
        // The key never travels: it is stored here, and the service finds it.
        const { state, passphrase } = await prepare();
        const { storeRequestedKey } = await import('../../enroll/ca/issuer-import.ts');
        await storeRequestedKey(state, passphrase, key);
      }
      return client.api.importIssuer({ body: { chain, external: options.external === true } });
    },
    async (stopped) =>
      importStopped(stopped, {
        chain,
        key,
        place: options.external === true ? 'external' : 'here',
      }),
  );
  context.out.result(
    issuer,
    `${issuer.name} is trusted${issuer.current ? ' and is now the current issuer' : ''}\n${issuer.fingerprint}`,
  );
  return 0;
};

interface SuppliedIssuer {
  readonly chain: string;
  readonly key: Awaited<ReturnType<typeof readKeyFile>> | undefined;
  readonly place: 'here' | 'external';
}

/** Before the first start there is no issuer, no registry and no audit log: only the files are written. */
async function importStopped(
  { prepare, open }: StoppedState,
  { chain, key, place }: SuppliedIssuer,
): Promise<ImportIssuerResponse> {
  const files = await import('../../enroll/ca/issuer-import.ts');
  const { hasCa } = await import('../../enroll/ca/ca-folder.ts');
  const { purposeOf } = await import('../../enroll/ca/ca-inventory.ts');
  const { state, passphrase, nowMs } = await prepare();
  if (key !== undefined) await files.storeRequestedKey(state, passphrase, key);
  if (await hasCa(state)) {
    const { changes, ca } = await open();
    const made = await changes.issuers.importSigned(chain, localActor, place);
    const signs = [ca.inventory.current, ca.inventory.service].some(
      (one) => one?.certificate.fingerprint === made.fingerprint,
    );
    return { ...shownAuthority(made), current: signs, purpose: purposeOf(made) };
  }
  const imported = await files.importIssuer(state, passphrase, chain, nowMs, place);
  await files.activateImported(state, imported);
  return { ...shownAuthority(imported.certificate), current: true, purpose: imported.purpose };
}
