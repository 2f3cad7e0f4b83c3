/** `flotilla cluster import|export`: moves what is in files into the configured databases, and back. @module */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command } from 'commander';
import type { Config } from '../../core/config/config.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { createLog } from '../../core/log.ts';
import { Lifecycle } from '../../core/lifecycle.ts';
import { stateFolder, type StateFolder } from '../../core/state-folder.ts';
import {
  loadStateAndConfig,
  stateCommand,
  type CommandAction,
  type StateOptions,
} from '../lib/command-context.ts';
import { lockState } from '../lib/run-file.ts';
import type { Runner } from '../lib/runner.ts';

interface ImportOptions extends StateOptions {
  readonly dryRun?: boolean;
}

export function clusterCommand(runner: Runner): Command {
  return new Command('cluster')
    .description('move services from files to a database, or back')
    .addCommand(
      stateCommand(
        'import',
        'move the registry and audit log of a stopped enrollment service, and the sessions of a stopped broker, from files into the empty databases that enroll.database and broker.database name',
      )
        .option('--dry-run', 'only count what would be moved')
        .action(runner.run(importFiles)),
    )
    .addCommand(
      stateCommand(
        'export',
        'write the registry and audit log of the database that enroll.database names, and the sessions of the one that broker.database names, back into files; all instances and brokers must be stopped',
      )
        .option(
          '--to <dir>',
          'state folder that gets the files; a registry needs a new one (default: that of --state)',
        )
        .action(runner.run(exportFiles)),
    );
}

interface ExportOptions extends StateOptions {
  readonly to?: string;
}

const exportFiles: CommandAction<ExportOptions> = async (options, context) => {
  const { state, config } = await loadStateAndConfig(options, context);
  const { to = state.root } = options;
  const target = stateFolder(to);
  const services = (['enroll', 'broker'] as const).filter(
    (service) => config[service].database !== undefined,
  );
  if (services.length === 0) throw new FlotillaError('export-nothing');
  const lifecycle = new Lifecycle();
  return lifecycle
    .guard(async () => {
      await lockState(state, services, lifecycle);
      if (services.includes('broker') && resolve(to) !== resolve(state.root)) {
        await lockState(target, ['broker'], lifecycle);
      }
      // Before the sessions are exported, which is done first: it is refused more often.
      if (services.includes('enroll') && existsSync(target.enroll.folder)) {
        throw new FlotillaError('export-target-exists', { detail: target.enroll.folder });
      }
      const deps = { state, to, log: createLog({ level: 'warn' }) };
      const done: Record<string, object> = {};
      const texts: string[] = [];
      if (services.includes('broker')) {
        const { exportStore } = await import('../../broker/journal/journal-export.ts');
        const { counts, partitions, path } = await exportStore(config, deps);
        done['broker'] = { ...counts, ...(partitions === undefined ? {} : { partitions }), path };
        const from = partitions === undefined ? '' : ` of ${partitions} partitions`;
        texts.push(
          `exported ${countsText(counts)}${from} to ${path}`,
          'brokers do not start on the database any more: remove broker.database and cluster.partitions',
        );
      }
      if (services.includes('enroll')) {
        const { exportRegistry } = await import('../../enroll/bootstrap/registry-export.ts');
        const counts = await exportRegistry(config, deps);
        done['enroll'] = { ...counts, path: target.enroll.folder };
        texts.push(
          `exported ${countsText({ ...counts })} to ${target.enroll.folder}`,
          'the service does not start on the database any more: remove enroll.database',
        );
      }
      context.out.result({ exported: true, ...done }, texts.join('\n'));
      return 0;
    })
    .finally(() => lifecycle.close());
};

/** What is moved of one service. */
interface ImportPart {
  readonly service: 'enroll' | 'broker';
  readonly counts: () => Promise<Readonly<Record<string, number>>>;
  /** @returns the new path */
  readonly move: () => Promise<string>;
}

const importFiles: CommandAction<ImportOptions> = async (options, context) => {
  const { state, config } = await loadStateAndConfig(options, context);
  const isDry = options.dryRun === true;
  const lifecycle = new Lifecycle();
  return lifecycle
    .guard(async () => {
      const parts = await importParts(state, config);
      const services = parts.map(({ service }) => service);
      await lockState(state, services, lifecycle);
      const done: Record<string, object> = {};
      const texts: string[] = [];
      // Counts and checks everything before anything is moved.
      const counted: (ImportPart & { readonly found: Readonly<Record<string, number>> })[] = [];
      for (const part of parts) counted.push({ ...part, found: await part.counts() });
      for (const { service, found, move } of counted) {
        const moved = isDry ? undefined : await move();
        done[service] = { ...found, ...(moved === undefined ? {} : { moved }) };
        texts.push(partText(found, moved));
      }
      context.out.result({ imported: !isDry, ...done }, texts.join('\n'));
      return 0;
    })
    .finally(() => lifecycle.close());
};

function partText(found: Readonly<Record<string, number>>, moved: string | undefined): string {
  const list = countsText(found);
  return moved === undefined
    ? `would import ${list}`
    : `imported ${list}\nthe files are now ${moved}; delete them when the service works`;
}

function countsText(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${count} ${name === 'auditLines' ? 'lines of the audit log' : name}`)
    .join(', ');
}

/** What is configured and has files. @throws FlotillaError `import-nothing` */
async function importParts(state: StateFolder, config: Config): Promise<ImportPart[]> {
  const { countRegistry, hasRegistryToImport, importRegistry } =
    await import('../../enroll/bootstrap/registry-import.ts');
  const { countStore } = await import('../../broker/store/store-counts.ts');
  const { importStore } = await import('../../broker/journal/journal-import.ts');
  const { partitionName, partitionOf } = await import('../../core/partition.ts');
  const log = createLog({ level: 'warn' });
  const deps = { state, log };
  const { partitions: count } = config.cluster;
  const division =
    count === undefined
      ? undefined
      : {
          partitions: Array.from({ length: count }, (_, index) => ({
            ...{ name: partitionName(index), index, count },
          })),
          indexOf: (identityId: string) => partitionOf(identityId, count),
        };
  const parts: ImportPart[] = [];
  if (config.enroll.database !== undefined && (await hasRegistryToImport(state))) {
    const counts = async (): ReturnType<ImportPart['counts']> => ({
      ...(await countRegistry(state)),
    });
    parts.push({ service: 'enroll', counts, move: () => importRegistry(config, deps) });
  }
  const { store } = state.broker;
  if (config.broker.database !== undefined && existsSync(store)) {
    const counts = (): ReturnType<ImportPart['counts']> =>
      Promise.resolve({ ...countStore(store) });
    parts.push({
      service: 'broker',
      counts,
      move: () => importStore(config, { ...deps, division }),
    });
  }
  if (parts.length === 0) throw new FlotillaError('import-nothing', { detail: state.root });
  return parts;
}
