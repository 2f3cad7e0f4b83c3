/** `flotilla audit verify|tail`: reads the audit log. @module */
import { Command } from 'commander';
import { stateFolder } from '../../core/state-folder.ts';
import { tailAudit, verifyAudit } from '../../enroll/audit/audit-reader.ts';
import {
  stateCommand,
  wholeNumber,
  type CommandAction,
  type StateOptions,
} from '../lib/command-context.ts';
import type { Runner } from '../lib/runner.ts';

interface TailOptions extends StateOptions {
  readonly lines: number;
}

export function auditCommand(runner: Runner): Command {
  return new Command('audit')
    .description('verify and read the audit log')
    .addCommand(
      stateCommand(
        'verify',
        'check that no line of the audit log was changed, removed or added',
      ).action(runner.run(verify)),
    )
    .addCommand(
      stateCommand('tail', 'print the last lines of the audit log')
        .option('--lines <n>', 'number of lines', wholeNumber, 20)
        .action(runner.run(tail)),
    );
}

const verify: CommandAction<StateOptions> = async (options, context) => {
  const result = await verifyAudit(stateFolder(options.state).enroll.audit);
  context.out.result(
    result,
    result.ok
      ? `the audit log is intact: ${result.lines} lines`
      : `the audit log is broken: ${result.detail}`,
  );
  return result.ok ? 0 : 1;
};

const tail: CommandAction<TailOptions> = async (options, context) => {
  const lines = await tailAudit(stateFolder(options.state).enroll.audit, options.lines);
  context.out.result({ lines }, lines.map((line) => JSON.stringify(line)).join('\n'));
  return 0;
};
