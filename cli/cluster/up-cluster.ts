/**
 * `flotilla up --nodes N`: a cluster on one machine, to see a failover. The parent has the public ports and the database; the
 * services are processes of their own.
 *
 * @module
 */
import type { Config, ConfigInput } from '../../core/config/config.ts';
import { formatConfig } from '../../core/config/config-text.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { Lifecycle } from '../../core/lifecycle.ts';
import { loadStateAndConfig, type CommandAction, type Context } from '../lib/command-context.ts';
import { assertClusterPossible } from '../lib/cluster-mark.ts';
import { runDemoFleet } from '../lib/demo-fleet.ts';
import { localCommand } from '../lib/local-command.ts';
import { startLocalConsole } from '../lib/local-console.ts';
import { hasLiveScreen } from '../lib/progress-view.ts';
import { quickStartFooter, welcomeText } from '../lib/quick-start.ts';
import { lockState, type ClusterRun } from '../lib/run-file.ts';
import { reportToServiceManager } from '../lib/service-manager.ts';
import { serveUntil, serviceLog, settingsOf } from '../lib/serving.ts';
import { TerminalLog } from '../lib/terminal-log.ts';
import { ClusterBalancers } from './cluster-balancers.ts';
import { startClusterDatabase, type ClusterDatabase } from './cluster-database.ts';
import { addressesOf, startNodes, type Cluster, type ClusterOptions } from './cluster-start.ts';
import { RoleFile } from './role-file.ts';

/** Runs a cluster until it is stopped. */
export const upCluster: CommandAction<ClusterOptions> = async (options, context) => {
  const { out, environment } = context;
  if (options.demo === true) {
    throw new FlotillaError('usage', { detail: '--demo does not work together with --nodes' });
  }
  const flags = clusterFlags(options, context);
  const { state, config } = await loadStateAndConfig(options, context, flags);
  if (options.printConfig === true) {
    out.result(config, formatConfig(config).trimEnd());
    return 0;
  }
  const refused = refusedSetting(config);
  if (refused !== undefined) throw new FlotillaError('usage', { detail: refused });
  const lifecycle = new Lifecycle();
  const stop = environment.stopAsked();
  const failures = await lifecycle.guard(async () => {
    const terminalLog = new TerminalLog(out.streams.stderr, environment.env);
    const log = serviceLog(config, terminalLog.isShown ? terminalLog : undefined);
    await assertClusterPossible(state);
    const { lost } = await lockState(state, ['enroll', 'broker'], lifecycle);
    const named = options.database ?? config.broker.database ?? config.enroll.database;
    const path = environment.env['PATH'] ?? '';
    const report = (text: string): void => log.warn(text);
    const database =
      named === undefined ? await startClusterDatabase(state, path, report) : { url: named };
    if ('close' in database) lifecycle.add('database', () => database.close());
    const balancers = await ClusterBalancers.listen(config, lifecycle);
    const roles = new RoleFile(state.run.cluster, database.url, log);
    lifecycle.add('roles', () => roles.close());
    const parts = { state, config, options, context, log, terminalLog, lifecycle, balancers };
    const cluster: Cluster = { ...parts, roles, nodes: [], stop };
    const fingerprint = await startNodes(cluster, flags, database.url);
    if (fingerprint === undefined) return [];
    await welcome(cluster, fingerprint, 'pid' in database ? database : undefined);
    return [lost];
  });
  const code = await serveUntil(stop, failures, lifecycle, (text) => out.say(text));
  out.say(
    `stopped; the state is kept in ${state.root}, and the next flotilla up --nodes continues with it`,
  );
  return code;
};

/** Says which setting contradicts what the cluster arranges itself. */
function refusedSetting({ proxies, cluster }: Config): string | undefined {
  if (proxies.length > 0)
    return 'the setting proxies does not work with --nodes, which has its own balancer';
  if (cluster.address !== undefined)
    return 'the setting cluster.address does not work with --nodes, which has brokers on one machine';
  return undefined;
}

/** By default the log is quiet, as that of `up` without a cluster. */
function clusterFlags(options: ClusterOptions, { environment }: Context): ConfigInput {
  const isQuiet =
    environment.env['FLOTILLA_LOG__LEVEL'] === undefined && options.logLevel === undefined;
  return { ...settingsOf(options, 'both'), ...(isQuiet ? { log: { level: 'warn' } } : {}) };
}

/** Prints the ready line, and starts what is beside the cluster. */
async function welcome(
  cluster: Cluster,
  fingerprint: string,
  database: ClusterDatabase | undefined,
): Promise<void> {
  const { state, config, options, context, log, terminalLog, lifecycle, stop } = cluster;
  const { out, environment } = context;
  const ca = { file: state.ca.rootCert, fingerprint };
  const ready = { ...addressesOf(cluster), ca };
  const command = localCommand(environment.env);
  const isTerminal = !out.json && hasLiveScreen(out.streams.stdout);
  const { url } = ready.https;
  const consoleUrl = isTerminal ? await startLocalConsole(state, url, lifecycle) : undefined;
  const nodes = cluster.nodes.map(({ view }) => view);
  out.result(
    { event: 'ready', ...ready, nodes, database: { pid: database?.pid() ?? null } },
    `${welcomeText(ready, config, command, consoleUrl)}\n\n${clusterText(nodes)}`,
  );
  const status = `mqtts port ${ready.mqtts.port}, enrollment ${url}`;
  await reportToServiceManager(environment, lifecycle, log, status);
  const { devices = 0 } = options;
  if (devices === 0) return;
  const fleet = await runDemoFleet({
    ...{ devices, state, log, out, terminalLog, env: environment.env },
    mqtts: ready.mqtts,
    enrollUrl: url,
    footer: quickStartFooter(ready, command, consoleUrl),
  });
  void stop.then(() => fleet.closeView());
  lifecycle.add('simulated devices', () => fleet.stop());
}

function clusterText(nodes: ClusterRun['nodes']): string {
  const broker = nodes.find(({ name, role }) => name.startsWith('broker') && role === 'active');
  return [
    'Processes:',
    ...nodes.map(({ name, role, pid }) => `  ${name.padEnd(10)} ${role.padEnd(8)} ${pid ?? ''}`),
    '',
    `To see a failover: kill -9 ${broker?.pid ?? ''}, then flotilla status`,
  ].join('\n');
}
