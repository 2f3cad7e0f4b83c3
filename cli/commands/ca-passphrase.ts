/** `flotilla ca passphrase`: changes the passphrase that encrypts the keys of the CA. @module */
import { access, readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { amountText } from '../../core/amount-text.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { assertSecret } from '../../core/secret-file.ts';
import { stateFolder } from '../../core/state-folder.ts';
import { changeCa, localActor } from '../lib/ca-access.ts';
import {
  stateCommand,
  type CommandAction,
  type Context,
  type StateOptions,
} from '../lib/command-context.ts';
import { askSecret } from '../lib/secret-prompt.ts';
import type { Runner } from '../lib/runner.ts';

interface PassphraseOptions extends StateOptions {
  readonly newPassphraseFile?: string;
  /** Undefined: stored if it was stored before. */
  readonly store?: boolean;
}

/** PBKDF2 makes guesses slow, but not slow enough for a short word. */
const charsMin = 12;

export function caPassphraseCommand(runner: Runner): Command {
  return stateCommand(
    'passphrase',
    'encrypt all keys of the CA with a new passphrase; the enrollment service must be stopped',
  )
    .option(
      '--new-passphrase-file <file>',
      'file with the new passphrase (default: a question on the terminal)',
    )
    .option('--store', 'store the new passphrase in ca/passphrase')
    .option('--no-store', 'delete ca/passphrase; the new one is given at each start')
    .action(runner.run(changeIt));
}

const changeIt: CommandAction<PassphraseOptions> = async (options, context) => {
  const state = stateFolder(options.state);
  const to = await newPassphrase(options, context);
  const store = options.store ?? (await isThere(state.ca.passphrase));
  const { changePassphrase } = await import('../../enroll/ca/passphrase-change.ts');
  const { readPassphrase } = await import('../../enroll/ca/passphrase.ts');
  const keys = await changeCa(
    options,
    context,
    () => {
      throw new FlotillaError('state-in-use', {
        detail: 'the enrollment service keeps keys of the CA in memory',
      });
    },
    async ({ open }) => {
      // A passphrase that does not open the CA changes nothing.
      const { audit } = await open();
      const from = await readPassphrase(state, context.environment.env);
      const count = await changePassphrase(state, { from, to, store });
      await audit.append({
        action: 'ca-passphrase-changed',
        actor: localActor,
        detail: { keys: count, stored: store },
      });
      return count;
    },
  );
  context.out.result(
    { state: state.root, keys, stored: store },
    `${amountText(keys, 'file with keys of the CA is', 'files with keys of the CA are')} encrypted with the new passphrase\n${whereText(store, state.ca.passphrase)}`,
  );
  return 0;
};

function whereText(store: boolean, file: string): string {
  return store
    ? `it is in ${file}`
    : 'give it at the next start by FLOTILLA_CA_PASSPHRASE_FILE; it is not stored here';
}

async function newPassphrase(
  { newPassphraseFile: path }: PassphraseOptions,
  context: Context,
): Promise<string> {
  const text = path === undefined ? await askTwice(context) : await readSecretFile(path);
  if (text.length < charsMin) {
    throw new FlotillaError('usage', { detail: `the passphrase needs ${charsMin} characters` });
  }
  return text;
}

async function readSecretFile(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new FlotillaError('input-unreadable', { detail: path, cause: error });
  });
  await assertSecret(path);
  return text.trim();
}

async function askTwice({ environment }: Context): Promise<string> {
  const first = await askSecret('New passphrase: ', environment);
  if (first === undefined) {
    throw new FlotillaError('usage', {
      detail: 'without a terminal, specify --new-passphrase-file',
    });
  }
  if ((await askSecret('Again: ', environment)) !== first) {
    throw new FlotillaError('usage', { detail: 'the two passphrases differ' });
  }
  return first.trim();
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
