/** `flotilla sim …`: the fleet simulator, loaded when it is used. @module */
import { Command, Option } from 'commander';
import type { AgentCommandOptions } from './sim-agent.ts';
import type { RunOptions } from './sim-run.ts';
import type { PrepareOptions } from './sim-prepare.ts';
import {
  command,
  duration,
  port,
  positive,
  stateCommand,
  urlOption,
  wholeNumber,
} from '../lib/command-context.ts';
import type { CommonOptions, Context } from '../lib/command-context.ts';
import type { Runner } from '../lib/runner.ts';

export function simCommand(runner: Runner): Command {
  return new Command('sim')
    .description('the fleet simulator')
    .addCommand(
      targetOptions(
        stateCommand('run', 'run a plan, or a quick one made of the numbers given')
          .argument('[plan]', 'a plan, YAML')
          .option('--devices <n>', 'how many devices (default: 100)', wholeNumber)
          .option('--duration <duration>', 'how long they publish (default: 30s)', duration)
          .option('--rate <n>', 'messages a second of each device (default: 1)', positive)
          .addOption(
            new Option('--qos <n>', 'quality of service (default: 1)').choices(['0', '1', '2']),
          )
          .addOption(
            new Option('--client <kind>', 'MQTT.js as users run it, or the light one').choices([
              'mqttjs',
              'light',
            ]),
          )
          .option('--seed <text>', 'the same seed makes the same traffic')
          .option('--report <dir>', 'write report.json, .txt, .html and junit.xml there')
          .option('--metrics-port <n>', 'serve the figures of the run for Prometheus', port),
      ).action(
        runner.runWith(async (plan: string | undefined, options: RunOptions, context) =>
          (await import('./sim-run.ts')).run(plan, options, context),
        ),
      ),
    )
    .addCommand(
      command('check', 'read a plan as sim run would')
        .argument('<plan>', 'a plan, YAML')
        .action(runner.runWith(check)),
    )
    .addCommand(
      command('init', 'write a plan with comments, to begin with')
        .argument('[file]', 'where', 'plan.yaml')
        .action(
          runner.runWith(async (file: string, options: CommonOptions, context) =>
            (await import('./sim-init.ts')).initPlan(file, options, context),
          ),
        ),
    )
    .addCommand(
      stateCommand('prepare', 'make keys and certificates ahead, so that a run starts at once')
        .argument('<plan>', 'a plan, YAML')
        .option('--out <dir>', 'for any other broker: a CA and certificates into this folder')
        .option('--names <names...>', 'with --out: the host names of that broker')
        .option(...urlOption)
        .option(...brokersOption)
        .action(
          runner.runWith(async (plan: string, options: PrepareOptions, context) =>
            (await import('./sim-prepare.ts')).prepare(plan, options, context),
          ),
        ),
    )
    .addCommand(
      command('agent', 'carry devices on this host for plans that name it under run.agents')
        .requiredOption('--dir <dir>', "the agent's identity, as device enroll wrote it")
        .requiredOption('--mqtts <host:port>', "the fleet's broker")
        .action(
          runner.run(async (options: AgentCommandOptions, context) =>
            (await import('./sim-agent.ts')).agent(options, context),
          ),
        ),
    )
    .addCommand(
      command('compare', 'hold two reports against each other')
        .argument('<a>', 'a report folder or report.json')
        .argument('<b>', 'another')
        .action((a: string, b: string, options: CommonOptions) =>
          runner.run<CommonOptions>((_options, context) => compare(a, b, context))(options),
        ),
    );
}

const brokersOption = [
  '--mqtts <host:port,…>',
  'the broker, if not the one on the state folder; devices are spread over several',
] as const;

function targetOptions(under: Command): Command {
  return under
    .option(...urlOption)
    .option(...brokersOption)
    .option('--certs <dir>', 'any broker: certificates from a folder, instead of enrolling')
    .option('--ca <file>', 'any broker: what it is trusted by (default: ca.pem in --certs)');
}

const check = async (file: string, _options: CommonOptions, context: Context): Promise<number> => {
  const { readPlan } = await import('../../device-sim/plan/read-plan.ts');
  const plan = await readPlan(file);
  context.out.result({ ok: true, plan: plan.name }, `${file} is a valid plan: ${plan.name}`);
  return 0;
};

async function compare(a: string, b: string, context: Context): Promise<number> {
  const { comparisonText, compareReports } = await import('../../device-sim/report/compare.ts');
  const comparison = await compareReports(a, b);
  context.out.result(comparison, comparisonText(comparison).trimEnd());
  return 0;
}
