/** `flotilla node list|drain|resume`: the brokers of a cluster, and which partitions they hold. @module */
import { setTimeout as pause } from 'node:timers/promises';
import { Command } from 'commander';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { openNodeTables, type NodeTables } from '../cluster/node-tables.ts';
import {
  durationMs,
  loadStateAndConfig,
  stateCommand,
  type CommandAction,
  type Context,
  type StateOptions,
} from '../lib/command-context.ts';
import {
  drainProgress,
  drainView,
  nodeListText,
  type DrainView,
  type NodeList,
} from '../lib/node-list.ts';
import { readClusterRun } from '../lib/run-file.ts';
import type { Runner } from '../lib/runner.ts';

const pollMs = 500;
const timeoutDefaultMs = 120_000;

interface DrainOptions extends StateOptions {
  readonly timeout?: number;
}

export function nodeCommand(runner: Runner): Command {
  return new Command('node')
    .description('show and drain the brokers of a cluster')
    .addCommand(
      stateCommand(
        'list',
        'list the brokers of the cluster in the database that broker.database names, with their partitions',
      ).action(runner.run(list)),
    )
    .addCommand(
      stateCommand(
        'drain',
        'move all partitions of a broker to the others, before it is stopped; its devices connect again',
      )
        .argument('<name>', 'name of the broker')
        .option(
          '--timeout <duration>',
          'how long to wait until it holds nothing; afterward it goes on (default: 2m)',
          durationMs,
        )
        .action(runner.runWith(drain)),
    )
    .addCommand(
      stateCommand('resume', 'let a broker that was drained hold partitions again')
        .argument('<name>', 'name of the broker')
        .action(runner.runWith(resume)),
    );
}

const list: CommandAction<StateOptions> = (options, context) =>
  withTables(options, context, async (tables) => {
    const nodes = await tables.read();
    context.out.result(nodes, nodeListText(nodes, context.out));
    return nodes.ok ? 0 : 1;
  });

const drain = (
  name: string,
  ...[options, context]: Parameters<CommandAction<DrainOptions>>
): Promise<number> =>
  withTables(options, context, async (tables) => {
    const { out } = context;
    const before = viewOf(await tables.read(), name);
    if (before.holds.length > 0 && before.takers.length === 0) {
      throw new FlotillaError('node-alone', { detail: name });
    }
    await tables.setDraining(name, true);
    const deadlineMs = performance.now() + (options.timeout ?? timeoutDefaultMs);
    let shown = '';
    for (;;) {
      const text = drainProgress(viewOf(await tables.read(), name), before);
      if (text === undefined) break;
      if (performance.now() > deadlineMs) {
        throw new FlotillaError('node-drain-unfinished', { detail: `${name}: ${text}` });
      }
      if (text !== shown) out.warn(`${name}: ${text}`);
      shown = text;
      await pause(pollMs);
    }
    out.result(
      { node: name, draining: true, moved: before.holds },
      [
        `${name} holds no partition any more and gets none until flotilla node resume ${name}`,
        'The devices of its partitions connect again. Those that it relays to other nodes stay connected until it is stopped.',
      ].join('\n'),
    );
    return 0;
  });

const resume = (
  name: string,
  ...[options, context]: Parameters<CommandAction<StateOptions>>
): Promise<number> =>
  withTables(options, context, async (tables) => {
    // A node that is stopped just now is not in the list.
    if (!(await tables.setDraining(name, false))) viewOf(await tables.read(), name);
    context.out.result({ node: name, draining: false }, `${name} may hold partitions again`);
    return 0;
  });

/** @throws FlotillaError `node-unknown` */
function viewOf(nodes: NodeList, name: string): DrainView {
  const view = drainView(nodes, name);
  if (view !== undefined) return view;
  const known = nodes.nodes.map((one) => one.name).join(', ');
  throw new FlotillaError('node-unknown', { detail: `${name}; there are: ${known}` });
}

/** @throws FlotillaError `cluster-not-configured`, `cluster-without-partitions`, `database-…` */
async function withTables(
  options: StateOptions,
  context: Context,
  act: (tables: NodeTables) => Promise<number>,
): Promise<number> {
  const { state, config } = await loadStateAndConfig(options, context);
  // The brokers of `flotilla up --nodes` have it from their parent only.
  const database = config.broker.database ?? (await readClusterRun(state))?.database;
  if (database === undefined) {
    throw new FlotillaError('cluster-not-configured', { detail: options.state });
  }
  const tables = await openNodeTables({ ...config.broker, database });
  try {
    return await act(tables);
  } finally {
    await tables.close();
  }
}
