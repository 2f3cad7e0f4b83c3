/** `flotilla policy check|explain|test|apply|show`: validates, explains, tests and stores a policy. @module */
import { readFile, stat } from 'node:fs/promises';
import { Command, Option } from 'commander';
import { explain, type Explanation } from '../../core/policy/explanation.ts';
import { parsePolicy, policyMaxBytes } from '../../core/policy/policy-file.ts';
import type { Policy } from '../../core/policy/policy-model.ts';
import { testPolicy } from '../../core/policy/policy-test.ts';
import type { Subject } from '../../core/policy/rules-for.ts';
import type { DeviceId } from '../../core/device-id.ts';
import { lostRights } from '../../core/policy/lost-rights.ts';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import type { AdminOptions } from '../lib/admin-client.ts';
import {
  command,
  deviceId,
  stateCommand,
  urlOption,
  wholeNumber,
  type CommandAction,
  type CommonOptions,
  type Context,
} from '../lib/command-context.ts';
import { knownIdentity, policyInForce, type KnownIdentity } from '../lib/policy-in-force.ts';
import type { Runner } from '../lib/runner.ts';
import { fleetPolicyCommands } from './policy-apply.ts';

interface ExplainOptions extends AdminOptions {
  readonly device: DeviceId;
  readonly action: 'publish' | 'subscribe' | 'receive' | 'connect';
  readonly topic: string;
  readonly qos: string;
  readonly retain?: boolean;
  readonly payload: number;
  readonly policy?: string;
  readonly role?: string;
  readonly group?: string;
  readonly attribute: readonly string[];
  readonly address?: string;
}

interface TestOptions extends CommonOptions {
  readonly policy: string;
}

export function policyCommand(runner: Runner): Command {
  const policy = new Command('policy')
    .description('validate, explain, test and store the policy')
    .addCommand(
      command('check', 'validate a policy file')
        .argument('<file>', 'policy file (YAML)')
        .action(runner.runWith(check)),
    )
    .addCommand(
      stateCommand(
        'explain',
        'show the decision of the policy and the rule behind it; exit code 1 when it denies',
      )
        .requiredOption('--device <id>', 'device id', deviceId)
        .addOption(
          new Option('--action <action>', 'requested action')
            .choices(['publish', 'subscribe', 'receive', 'connect'])
            .makeOptionMandatory(),
        )
        .requiredOption('--topic <topic>', 'topic, topic filter, or client id for connect')
        .addOption(
          new Option('--qos <n>', 'quality of service').choices(['0', '1', '2']).default('0'),
        )
        .option('--retain', 'publish as a retained message')
        .option('--payload <bytes>', 'size of the payload', wholeNumber, 0)
        .option('--address <ip>', 'IP address of the client')
        .option('--policy <file>', 'policy file (default: the policy in force)')
        .option('--role <role>', 'role (default: the one in the registry)')
        .option('--group <name>', 'group (default: the one in the registry)')
        .option(
          '--attribute <name=value...>',
          'attributes, in addition to those in the registry',
          [] as string[],
        )
        .option(...urlOption)
        .action(runner.run(explainDecision)),
    )
    .addCommand(
      command('test', 'check a policy against a file of expected decisions')
        .argument('<file>', 'expected decisions (YAML)')
        .requiredOption('--policy <file>', 'policy file to test')
        .action(runner.runWith(test)),
    );
  for (const one of fleetPolicyCommands(runner)) policy.addCommand(one);
  return policy;
}

const check = async (file: string, _options: CommonOptions, context: Context): Promise<number> => {
  const policy = await readPolicy(file);
  const roles = [...policy.roles.values()].map((role) => ({
    role: role.name,
    clientIds: role.clientIds,
    rules: role.rules.length,
  }));
  const warnings = lostRights(policy);
  for (const warning of warnings) context.out.warn(context.out.style.color('yellow', warning));
  context.out.result(
    { ok: true, roles, warnings },
    `${file} is valid: ${roles.map(({ role, rules }) => `${role} (${rules} rules)`).join(', ')}`,
  );
  return 0;
};

const explainDecision: CommandAction<ExplainOptions> = async (options, context) => {
  const chosen = options.policy === undefined ? await policyInForce(options, context) : undefined;
  const policy =
    chosen === undefined ? await readPolicy(options.policy ?? '') : parsePolicy(chosen.text);
  const subject = await policySubjectOf(options, context);
  const explanation = explain(policy, subject, {
    action: options.action,
    topic: options.topic,
    qos: Number(options.qos) as 0 | 1 | 2,
    retain: options.retain ?? false,
    payloadBytes: options.payload,
  });
  context.out.result(
    { ...explanation, rule: explanation.rule ?? null, policy: chosen?.from ?? options.policy },
    [...explanationText(explanation), `policy: ${chosen?.from ?? options.policy ?? ''}`].join('\n'),
  );
  return explanation.allowed ? 0 : 1;
};

const test = async (file: string, options: TestOptions, context: Context): Promise<number> => {
  const policy = await readPolicy(options.policy);
  const expected = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new FlotillaError('input-unreadable', { detail: file, cause: error });
  });
  const result = testPolicy(policy, expected);
  const failures = result.failures.map((failure) => `FAILED ${failure}`);
  context.out.result(
    result,
    [...failures, `${result.passed} passed, ${result.failures.length} failed`].join('\n'),
  );
  return result.failures.length === 0 ? 0 : 1;
};

async function readPolicy(path: string): Promise<Policy> {
  let text: string;
  try {
    const { size } = await stat(path);
    if (size > policyMaxBytes) {
      throw new FlotillaError('policy-invalid', {
        detail: `${path} has ${size} bytes; at most ${policyMaxBytes} are read`,
      });
    }
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof FlotillaError) throw error;
    throw new FlotillaError('input-unreadable', { detail: path, cause: error });
  }
  return parsePolicy(text);
}

/** Read from the registry if the service is running; the options take precedence. */
async function policySubjectOf(options: ExplainOptions, context: Context): Promise<Subject> {
  const known = await registered(options, context);
  const attributes = options.attribute.map((pair) => {
    const at = pair.indexOf('=');
    if (at < 1) throw new FlotillaError('usage', { detail: '--attribute needs name=value' });
    return [pair.slice(0, at), pair.slice(at + 1)] as const;
  });
  return {
    id: options.device,
    role: options.role ?? known?.role ?? 'device',
    group: options.group ?? known?.group ?? null,
    attributes: { ...known?.attributes, ...Object.fromEntries(attributes) },
    standing: known?.status === 'quarantined' ? 'quarantined' : 'full',
    remoteAddress: options.address,
  };
}

async function registered(
  options: ExplainOptions,
  context: Context,
): Promise<KnownIdentity | undefined> {
  if (options.role !== undefined && options.group !== undefined) return undefined;
  try {
    return await knownIdentity(options.device, options, context);
  } catch (error) {
    context.out.warn(
      `${options.device} is treated as a device without group and attributes: ${messageOf(error)}`,
    );
    return undefined;
  }
}

function explanationText(explanation: Explanation): string[] {
  const { allowed, rule, reason, nearest, code } = explanation;
  const lines = [`${allowed ? 'allowed' : `denied (${code ?? ''})`}: ${reason}`];
  if (rule !== undefined) lines.push(`rule: ${rule}`);
  if (nearest !== undefined) lines.push(`nearest rule: ${nearest.rule}, but ${nearest.because}`);
  return lines;
}
