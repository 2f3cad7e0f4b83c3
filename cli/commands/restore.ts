/** `flotilla restore`: makes a state folder from a backup. @module */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { amountText } from '../../core/amount-text.ts';
import { makeSecretFolder, secretFolderMode, syncFolder } from '../../core/atomic-file.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { Lifecycle } from '../../core/lifecycle.ts';
import { stateFolder } from '../../core/state-folder.ts';
import { fileHash, unpackBackup } from '../backup/backup-archive.ts';
import { tryBackup } from '../backup/backup-trial.ts';
import { keepDirectory } from '../backup/kept-directory.ts';
import { stateCommand, type CommandAction, type StateOptions } from '../lib/command-context.ts';
import { lockState } from '../lib/run-file.ts';
import type { Runner } from '../lib/runner.ts';

interface RestoreOptions extends StateOptions {
  readonly replace?: boolean;
}

export function restoreCommand(runner: Runner): Command {
  return stateCommand(
    'restore',
    'make the state folder from a backup; the services must be stopped',
  )
    .argument('<file>', 'file that flotilla backup has written')
    .option('--replace', 'move an existing state into a folder beside it')
    .action(runner.runWith(restore));
}

const restore = async (
  file: string,
  ...[options, context]: Parameters<CommandAction<RestoreOptions>>
): Promise<number> => {
  const target = options.state;
  const facts = await stat(file).catch((error: unknown) => {
    throw new FlotillaError('input-unreadable', { detail: file, cause: error });
  });
  if (!facts.isFile())
    throw new FlotillaError('input-unreadable', { detail: `${file} is not a file` });
  if (options.replace !== true && (await stateEntries(target)).length > 0) {
    throw new FlotillaError('state-exists', { detail: target });
  }
  const lifecycle = new Lifecycle();
  const done = await lifecycle.guard(async () => {
    await makeSecretFolder(target);
    await lockState(stateFolder(target), ['enroll', 'broker'], lifecycle);
    // Inside the target, which can be a mounted volume: files can only be moved within one.
    const folder = join(target, `.restore-${randomBytes(6).toString('hex')}`);
    await mkdir(folder, { mode: secretFolderMode });
    lifecycle.add('unpacked backup', () => rm(folder, { recursive: true, force: true }));
    const sha256 = await fileHash(file);
    const manifest = await unpackBackup(file, folder);
    const contents = await tryBackup(stateFolder(folder));
    const isDirectoryKept = await keepDirectory(stateFolder(target), stateFolder(folder));
    const kept = await setAside(target);
    const names = (await readdir(folder)).filter((name) => name !== 'manifest.json');
    // A start refuses a registry without a CA (ca-missing): an interrupted restore never looks complete.
    await moveAll(folder, target, [
      ...names.filter((name) => name !== 'ca'),
      ...names.filter((name) => name === 'ca'),
    ]);
    const { createdAt } = manifest;
    return { state: target, file, sha256, createdAt, ...contents, kept, isDirectoryKept };
  });
  await lifecycle.close();
  context.out.result(
    done,
    [
      `restored ${target} from ${file}, made at ${done.createdAt}`,
      ...(done.identities === undefined || done.auditLines === undefined
        ? []
        : [
            `${amountText(done.identities, 'identity', 'identities')}; the audit log is intact: ${amountText(done.auditLines, 'line')}`,
          ]),
      ...(done.kept === undefined ? [] : [`the state before is in ${done.kept}`]),
      ...(done.isDirectoryKept
        ? ['the broker keeps what it knew: devices that were revoked since the backup stay refused']
        : []),
      'What happened after the backup is lost, revocations among it: after the start, flotilla reconcile shows what brokers know more.',
    ].join('\n'),
  );
  return 0;
};

/** Everything in the folder that belongs to a state. */
async function stateEntries(target: string): Promise<string[]> {
  const names = await readdir(target).catch(() => []);
  return names.filter(
    (name) =>
      name !== 'run' && !name.startsWith('.restore-') && !name.startsWith('before-restore-'),
  );
}

/** @returns the folder with the state before; undefined when there was none */
async function setAside(target: string): Promise<string | undefined> {
  const names = await stateEntries(target);
  if (names.length === 0) return undefined;
  const now = new Date().toISOString().replaceAll(/[:.]/g, '-');
  const kept = join(target, `before-restore-${now}`);
  await mkdir(kept, { mode: secretFolderMode });
  await moveAll(target, kept, [
    ...names.filter((name) => name === 'ca'),
    ...names.filter((name) => name !== 'ca'),
  ]);
  return kept;
}

async function moveAll(from: string, to: string, names: readonly string[]): Promise<void> {
  for (const name of names) await rename(join(from, name), join(to, name));
  await syncFolder(to);
}
