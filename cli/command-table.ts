/**
 * The commands by name. Each is imported only when it runs, because its libraries cost more time than
 * most commands take.
 *
 * @module
 */
import type { Command } from 'commander';
import type { Runner } from './lib/runner.ts';

/** Builds one command, with its subcommands. */
export type BuildCommand = (runner: Runner) => Command;

/** In the order of the help text. */
export const commandTable: ReadonlyMap<string, () => Promise<BuildCommand>> = new Map([
  ['up', async () => (await import('./commands/up.ts')).upCommand],
  ['init', async () => (await import('./commands/init.ts')).initCommand],
  ['console', async () => (await import('./commands/console.ts')).consoleCommand],
  ['status', async () => (await import('./commands/status.ts')).statusCommand],
  ['check', async () => (await import('./commands/check.ts')).checkCommand],
  ['doctor', async () => (await import('./commands/doctor.ts')).doctorCommand],
  ['token', async () => (await import('./commands/token.ts')).tokenCommand],
  ['device', async () => (await import('./commands/device.ts')).deviceCommand],
  ['group', async () => (await import('./commands/group.ts')).groupCommand],
  ['request', async () => (await import('./commands/request.ts')).requestCommand],
  ['factory', async () => (await import('./commands/factory.ts')).factoryCommand],
  ['ca', async () => (await import('./commands/ca.ts')).caCommand],
  ['root', async () => (await import('./commands/root.ts')).rootCommand],
  ['issuer', async () => (await import('./commands/issuer.ts')).issuerCommand],
  ['service', async () => (await import('./commands/service.ts')).serviceCommand],
  ['operator', async () => (await import('./commands/operator.ts')).operatorCommand],
  ['key', async () => (await import('./commands/api-key.ts')).keyCommand],
  ['policy', async () => (await import('./commands/policy.ts')).policyCommand],
  ['pub', async () => (await import('./commands/pub.ts')).pubCommand],
  ['sub', async () => (await import('./commands/sub.ts')).subCommand],
  ['sim', async () => (await import('./commands/sim.ts')).simCommand],
  ['reconcile', async () => (await import('./commands/reconcile.ts')).reconcileCommand],
  ['audit', async () => (await import('./commands/audit.ts')).auditCommand],
  ['backup', async () => (await import('./commands/backup.ts')).backupCommand],
  ['restore', async () => (await import('./commands/restore.ts')).restoreCommand],
  ['node', async () => (await import('./commands/node.ts')).nodeCommand],
  ['cluster', async () => (await import('./commands/cluster.ts')).clusterCommand],
  ['enroll', async () => (await import('./commands/enroll-serve.ts')).enrollCommand],
  ['broker', async () => (await import('./commands/broker-serve.ts')).brokerCommand],
]);

/** The commands that an invocation needs: the one it names, or all, for help and suggestions. */
export async function commandsFor(args: readonly string[]): Promise<readonly BuildCommand[]> {
  const name = args[0] === 'help' ? args[1] : args[0];
  const load = name === undefined ? undefined : commandTable.get(name);
  return Promise.all(
    load === undefined ? [...commandTable.values()].map((one) => one()) : [load()],
  );
}
