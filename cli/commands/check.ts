/** `flotilla check`: verifies a whole state folder without changing it. @module */
import type { Command } from 'commander';
import { amountText } from '../../core/amount-text.ts';
import { catalogue } from '../../core/errors/catalogue.ts';
import type { StateFinding } from '../../core/integrity/finding.ts';
import { stateFolder } from '../../core/state-folder.ts';
import {
  stateCommand,
  type CommandAction,
  type Context,
  type StateOptions,
} from '../lib/command-context.ts';
import type { Runner } from '../lib/runner.ts';

export function checkCommand(runner: Runner): Command {
  return stateCommand(
    'check',
    'verify all files of the state folder, whether services use it or not, without changing them',
  ).action(runner.run(check));
}

const check: CommandAction<StateOptions> = async (options, context) => {
  const { checkState } = await import('../integrity/state-check.ts');
  const { findings, omitted, checked } = await checkState(
    stateFolder(options.state),
    context.environment.env,
  );
  const ok = findings.length === 0;
  context.out.result(
    { ok, findings: findings.map(documentOf), omitted, checked },
    [
      ...checked.map(({ name, detail }) => `checked ${name}: ${detail}`),
      ...findings.map((finding) => textOf(finding, context)),
      summaryOf(findings.length + omitted, omitted),
    ].join('\n'),
  );
  return ok ? 0 : 1;
};

function documentOf({ code, path, detail }: StateFinding): object {
  const { title, advice } = catalogue[code];
  return { code, path, title, detail, advice };
}

function textOf({ code, path, detail }: StateFinding, { out }: Context): string {
  const { title, advice } = catalogue[code];
  return [
    `${out.style.color('red', 'WRONG')} ${path} [${code}]`,
    `      ${title}: ${detail}.`,
    `      ${advice}`,
  ].join('\n');
}

function summaryOf(count: number, omitted: number): string {
  if (count === 0) return 'everything is in order';
  const more = omitted === 0 ? '' : `, ${omitted} of them not shown`;
  return `${amountText(count, 'finding')}${more}`;
}
