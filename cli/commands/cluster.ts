/** `flotilla cluster import|export`: moves what is in files into the configured databases, and back. @module */
import { existsSync } from 'node:fs';
import { Command } from 'commander';
import type { Config } from '../../core/config/config.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { createLog } from '../../core/log.ts';
import { Lifecycle } from '../../core/lifecycle.ts';
import type { StateFolder } from '../../core/state-folder.ts';
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
        'write the registry and audit log of the database that enroll.database names into files; all instances must be stopped',
      )
        .requiredOption('--to <dir>', 'new state folder, whose folder enroll is written')
        .action(runner.run(exportFiles)),
    );
}

const exportFiles: CommandAction<ExportOptions> = async (options, context) => {
  const { exportRegistry } = await import('../../enroll/bootstrap/registry-export.ts');
  const { state, config } = await loadStateAndConfig(options, context);
  const lifecycle = new Lifecycle();
  return lifecycle
    .guard(async () => {
      await lockState(state, ['enroll'], lifecycle);
      const { to } = options;
      const log = createLog({ level: 'warn' });
      const { rows, auditLines } = await exportRegistry(config, { state, to, log });
      context.out.result(
        { exported: true, rows, auditLines, to },
        `exported ${rows} rows, ${auditLines} lines of the audit log\nthe database is not used any more: remove enroll.database`,
      );
      return 0;
    })
    .finally(() => lifecycle.close());
};

interface ExportOptions extends StateOptions {
  readonly to: string;
}

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
  const list = Object.entries(found)
    .map(([name, count]) => `${count} ${name === 'auditLines' ? 'lines of the audit log' : name}`)
    .join(', ');
  return moved === undefined
    ? `would import ${list}`
    : `imported ${list}\nthe files are now ${moved}; delete them when the service works`;
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
