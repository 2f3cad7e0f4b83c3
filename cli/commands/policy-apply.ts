/** `flotilla policy apply|show`: the policy of the fleet, which brokers get over the feed. @module */
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { amountText } from '../../core/amount-text.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { parsePolicy } from '../../core/policy/policy-file.ts';
import type { GetPolicyResponse } from '../../core/protocol/api-client.ts';
import { adminClient, type AdminOptions } from '../lib/admin-client.ts';
import { stateCommand, urlOption, type CommandAction } from '../lib/command-context.ts';
import type { Runner } from '../lib/runner.ts';

interface ApplyOptions extends AdminOptions {
  readonly dryRun?: boolean;
}

const linesMax = 20;

export function fleetPolicyCommands(runner: Runner): Command[] {
  return [
    stateCommand('apply', 'store a policy for the whole fleet; brokers get it over the feed')
      .argument('<file>', 'policy file (YAML)')
      .option('--dry-run', 'only show which subscriptions the policy would take away')
      .option(...urlOption)
      .action(runner.runWith(apply)),
    stateCommand('show', 'print the policy of the fleet, and the brokers that use another one')
      .option(...urlOption)
      .action(runner.run(show)),
  ];
}

const apply = async (
  file: string,
  ...[options, context]: Parameters<CommandAction<ApplyOptions>>
): Promise<number> => {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new FlotillaError('input-unreadable', { detail: file, cause: error });
  });
  parsePolicy(text);
  const client = await adminClient(options, context);
  if (options.dryRun === true) {
    const { brokers } = await client.api.diffPolicy({ body: { text } });
    const lost = brokers.flatMap((one) =>
      one.lost.map((each) => ({ broker: one.broker, ...each })),
    );
    const lines = lost
      .slice(0, linesMax)
      .map(({ broker, clientId, filter }) => `${broker}: ${clientId} loses ${filter}`);
    context.out.result(
      { dryRun: true, brokers },
      [
        ...lines,
        `${amountText(lost.length, 'subscription')} of live and kept sessions would be removed`,
      ].join('\n'),
    );
    return 0;
  }
  const before = await client.api.getPolicy();
  const stored = await client.api.putPolicy({
    body: { text },
    headers: { 'if-match': `"${before.sha256}"` },
  });
  const { sha256, source, brokers } = stored;
  context.out.result(
    { sha256, source, brokers },
    [`the fleet has the policy ${sha256.slice(0, 16)}`, ...overrides(stored)].join('\n'),
  );
  return 0;
};

const show: CommandAction<AdminOptions> = async (options, context) => {
  const client = await adminClient(options, context);
  const stored = await client.api.getPolicy();
  for (const line of overrides(stored)) context.out.warn(line);
  context.out.result(stored, stored.text.trimEnd());
  return 0;
};

/** The brokers on which an edited file has precedence. */
function overrides({ brokers }: GetPolicyResponse): string[] {
  return brokers
    .filter(({ source }) => source === 'file')
    .map(({ broker }) => `${broker} uses its own policy.yaml instead; remove the file there`);
}
