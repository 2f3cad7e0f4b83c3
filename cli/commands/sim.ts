/** `flotilla sim …`: the commands of the fleet simulator, which is loaded only when it is needed. @module */
import { Command, Option } from 'commander';
import type { AgentCommandOptions } from './sim-agent.ts';
import type { CompareOptions } from './sim-compare.ts';
import type { RunOptions } from './sim-run.ts';
import type { PrepareOptions } from './sim-prepare.ts';
import {
  command,
  durationMs,
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
    .description('simulate a fleet of devices')
    .addCommand(
      targetOptions(
        stateCommand('run', 'run a plan, or a simulation that is described by the options')
          .argument('[plan]', 'plan file (YAML)')
          .option('--devices <n>', 'number of devices (default: 100)', wholeNumber)
          .option(
            '--duration <duration>',
            'how long the devices publish (default: 30s)',
            durationMs,
          )
          .option('--rate <n>', 'messages per second of each device (default: 1)', positive)
          .addOption(
            new Option('--qos <n>', 'quality of service (default: 1)').choices(['0', '1', '2']),
          )
          .addOption(
            new Option(
              '--client <kind>',
              'MQTT.js, or the light client for large fleets (default: mqttjs)',
            ).choices(['mqttjs', 'light']),
          )
          .option('--seed <text>', 'seed of the traffic: the same seed gives the same traffic')
          .option('--remove-devices', 'delete the devices from the registry at the end')
          .option('--report <dir>', 'folder for report.json, report.txt, report.html and junit.xml')
          .addOption(
            new Option(
              '--progress <form>',
              'how progress is written to stderr: for people, or one JSON document per second',
            )
              .choices(['text', 'json'])
              .default('text'),
          )
          .option(
            '--metrics-port <n>',
            'port that serves the metrics of the run for Prometheus',
            port,
          ),
      ).action(
        runner.runWith(async (plan: string | undefined, options: RunOptions, context) =>
          (await import('./sim-run.ts')).run(plan, options, context),
        ),
      ),
    )
    .addCommand(
      command('check', 'validate a plan')
        .argument('<plan>', 'plan file (YAML)')
        .action(runner.runWith(check)),
    )
    .addCommand(
      command('init', 'write a commented plan to start from')
        .argument('[file]', 'output file', 'plan.yaml')
        .action(
          runner.runWith(async (file: string, options: CommonOptions, context) =>
            (await import('./sim-init.ts')).initPlan(file, options, context),
          ),
        ),
    )
    .addCommand(
      stateCommand(
        'prepare',
        'create keys and certificates in advance, so that a run starts immediately',
      )
        .argument('<plan>', 'plan file (YAML)')
        .option('--out <dir>', 'for a broker other than Flotilla: folder for a CA and certificates')
        .option(
          '--names <names...>',
          'with --out: host names of that broker (default: localhost, 127.0.0.1)',
        )
        .option(...urlOption)
        .option(...brokersOption)
        .action(
          runner.runWith(async (plan: string, options: PrepareOptions, context) =>
            (await import('./sim-prepare.ts')).prepare(plan, options, context),
          ),
        ),
    )
    .addCommand(
      command('agent', 'run devices on this host for plans that list it in run.agents')
        .requiredOption(
          '--dir <dir>',
          'folder of the identity of the agent, as device enroll wrote it',
        )
        .requiredOption('--mqtts <host:port>', 'broker of the fleet')
        .action(
          runner.run(async (options: AgentCommandOptions, context) =>
            (await import('./sim-agent.ts')).agent(options, context),
          ),
        ),
    )
    .addCommand(
      command('compare', 'compare two reports')
        .argument('<a>', 'first report: folder or report.json')
        .argument('<b>', 'second report')
        .option('--html <file>', 'also write the comparison as an HTML file with plots')
        .action((a: string, b: string, options: CompareOptions, self: Command) =>
          runner.run<CompareOptions>(async (checked, context) =>
            (await import('./sim-compare.ts')).compare(a, b, checked, context),
          )(options, self),
        ),
    );
}

const brokersOption = [
  '--mqtts <host:port,…>',
  'brokers that the devices are distributed over (default: the one of the state folder)',
] as const;

function targetOptions(under: Command): Command {
  return under
    .option(...urlOption)
    .option(...brokersOption)
    .option(
      '--certs <dir>',
      'for a broker other than Flotilla: folder with certificates, instead of enrollment',
    )
    .option(
      '--ca <file>',
      'for a broker other than Flotilla: CA file (default: ca.pem in --certs)',
    );
}

const check = async (file: string, _options: CommonOptions, context: Context): Promise<number> => {
  const { readPlan } = await import('../../device-sim/plan/read-plan.ts');
  const plan = await readPlan(file);
  context.out.result({ ok: true, plan: plan.name }, `${file} is a valid plan: ${plan.name}`);
  return 0;
};
