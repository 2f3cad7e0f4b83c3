/** `flotilla cluster import`: moves the sessions of a broker into its database. @module */
import { Command } from 'commander';
import { createLog } from '../../core/log.ts';
import { Lifecycle } from '../../core/lifecycle.ts';
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
    .description('move a broker from files to a database')
    .addCommand(
      stateCommand(
        'import',
        'move the sessions of a stopped broker from its file into the empty database that broker.database names',
      )
        .option('--dry-run', 'only count what would be moved')
        .action(runner.run(importSessions)),
    );
}

const importSessions: CommandAction<ImportOptions> = async (options, context) => {
  const { countStore } = await import('../../broker/store/store-counts.ts');
  const { importStore } = await import('../../broker/journal/journal-import.ts');
  const { state, config } = await loadStateAndConfig(options, context);
  const lifecycle = new Lifecycle();
  return lifecycle
    .guard(async () => {
      await lockState(state, ['broker'], lifecycle);
      const counts = countStore(state.broker.store);
      const isDry = options.dryRun === true;
      const log = createLog({ level: 'warn' });
      const moved = isDry ? undefined : await importStore(config, { state, log });
      const list = Object.entries(counts)
        .map(([name, count]) => `${count} ${name}`)
        .join(', ');
      context.out.result(
        { imported: !isDry, ...counts, file: moved ?? state.broker.store },
        moved === undefined
          ? `would import ${list}`
          : `imported ${list}\nthe file is now ${moved}; delete it when the broker works`,
      );
      return 0;
    })
    .finally(() => lifecycle.close());
};
