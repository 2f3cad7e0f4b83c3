/** `flotilla backup`: writes the state folder into one file, also while the services run. @module */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { amountText } from '../../core/amount-text.ts';
import { makeSecretFolder, secretFolderMode } from '../../core/atomic-file.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { lockFile } from '../../core/folder-lock.ts';
import { Lifecycle } from '../../core/lifecycle.ts';
import { stateFolder, type StateFolder } from '../../core/state-folder.ts';
import { fileHash, packBackup } from '../backup/backup-archive.ts';
import { snapshotState } from '../backup/state-snapshot.ts';
import { copyClosedStore } from '../backup/store-files.ts';
import { stateCommand, type CommandAction, type StateOptions } from '../lib/command-context.ts';
import { requestStoreCopy } from '../lib/control-socket.ts';
import { lockState, readBrokerRun } from '../lib/run-file.ts';
import type { Runner } from '../lib/runner.ts';

interface BackupOptions extends StateOptions {
  readonly out: string;
  readonly replace?: boolean;
  readonly passphrase: boolean;
}

export function backupCommand(runner: Runner): Command {
  return stateCommand('backup', 'write the state folder into one file, also while the services run')
    .requiredOption('--out <file>', 'file of the backup (tar, gzip), which only its owner can read')
    .option('--replace', 'replace the file if it exists')
    .option('--no-passphrase', 'without the file with the passphrase of the CA')
    .action(runner.run(backup));
}

const backup: CommandAction<BackupOptions> = async (options, context) => {
  const { out: path } = options;
  const state = stateFolder(options.state);
  const exists = await stat(path).catch(() => undefined);
  if (exists !== undefined && (options.replace !== true || !exists.isFile())) {
    throw new FlotillaError('output-file-exists', { detail: path });
  }
  if (!(await isState(state))) throw new FlotillaError('state-missing', { detail: state.root });
  const lifecycle = new Lifecycle();
  const made = await lifecycle.guard(async () => {
    await makeSecretFolder(state.run.folder);
    const lock = join(state.run.folder, 'backup.lock');
    lifecycle.add('lock of backup', await lockFile(lock, { code: 'state-in-use' }));
    const folder = await stagingFolder(state);
    lifecycle.add('copy of the state', () => rm(folder, { recursive: true, force: true }));
    await snapshotState(state, folder, {
      copyStore: (target) => copyStore(state, target),
      withPassphrase: options.passphrase,
    });
    const unfinished = `${path}.${randomBytes(6).toString('hex')}.tmp`;
    lifecycle.add('unfinished file', () => rm(unfinished, { force: true }));
    const manifest = await packBackup(folder, unfinished, Date.now());
    const sha256 = await fileHash(unfinished);
    await rename(unfinished, path);
    return { file: path, sha256, members: manifest.members.length, createdAt: manifest.createdAt };
  });
  await lifecycle.close();
  context.out.result(
    made,
    `wrote ${made.file}: ${amountText(made.members, 'file')}\nsha256 ${made.sha256}`,
  );
  const hasPassphrase =
    options.passphrase && (await stat(state.ca.passphrase).catch(() => undefined));
  if (hasPassphrase) {
    context.out.warn(
      `${path} contains the passphrase of the CA: keep it like a key, or use --no-passphrase and keep ${state.ca.passphrase} elsewhere`,
    );
  }
  return 0;
};

async function isState(state: StateFolder): Promise<boolean> {
  for (const path of [state.ca.folder, state.enroll.folder, state.broker.folder]) {
    if ((await stat(path).catch(() => undefined))?.isDirectory() === true) return true;
  }
  return false;
}

/** On the file system of the state, so that files can be linked. Removes what an interrupted backup has left. */
async function stagingFolder(state: StateFolder): Promise<string> {
  const prefix = 'backup-';
  for (const name of await readdir(state.run.folder)) {
    if (name.startsWith(prefix)) {
      await rm(join(state.run.folder, name), { recursive: true, force: true });
    }
  }
  const folder = join(state.run.folder, `${prefix}${randomBytes(6).toString('hex')}`);
  await mkdir(folder, { mode: secretFolderMode });
  return folder;
}

/** A running broker copies its store itself; the store of a stopped one is locked meanwhile. */
async function copyStore(state: StateFolder, target: string): Promise<void> {
  if ((await readBrokerRun(state)) !== undefined) {
    await requestStoreCopy(state.run.brokerControl, target);
    return;
  }
  const lifecycle = new Lifecycle();
  await lifecycle.guard(async () => {
    await lockState(state, ['broker'], lifecycle);
    await copyClosedStore(state.broker.store, target);
  });
  await lifecycle.close();
}
