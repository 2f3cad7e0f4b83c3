/** `flotilla ca`: the state of the CA, and everything that changes it. @module */
import { Command } from 'commander';
import { systemClock } from '../../core/clock.ts';
import type { GetCaStatusResponse } from '../../core/protocol/api-client.ts';
import { stateFolder } from '../../core/state-folder.ts';
import { adminClient, type AdminOptions } from '../lib/admin-client.ts';
import { stateCommand, urlOption, type CommandAction } from '../lib/command-context.ts';
import { caPassphraseCommand } from './ca-passphrase.ts';
import { issuerCommand } from './issuer.ts';
import { rootCommand } from './root.ts';
import { table } from '../lib/output.ts';
import type { Runner } from '../lib/runner.ts';

export function caCommand(runner: Runner): Command {
  return new Command('ca')
    .description('show and change the CA; works also while the service is stopped')
    .addCommand(
      stateCommand('status', 'show roots, issuers, what expires and what is wrong')
        .option(...urlOption)
        .action(runner.run(status)),
    )
    .addCommand(issuerCommand(runner))
    .addCommand(rootCommand(runner))
    .addCommand(caPassphraseCommand(runner));
}

/** Where a private key is. */
const places = {
  file: 'here',
  token: 'on a token',
  elsewhere: 'elsewhere',
  external: 'at the external CA',
} as const;

const status: CommandAction<AdminOptions> = async (options, context) => {
  const report = await readStatus(options, context);
  const { out } = context;
  const row = (
    kind: string,
    one: Pick<GetCaStatusResponse['root'], 'name' | 'notAfter' | 'fingerprint'>,
  ): string[] => [kind, one.name, out.moment(one.notAfter), one.fingerprint];
  const authorities = table([
    ['', 'NAME', 'EXPIRES', 'FINGERPRINT'],
    ...report.roots.map((root) => row(`root, ${root.state}, key ${places[root.key]}`, root)),
    ...report.issuers.map((issuer) =>
      row(
        `issuer of ${issuer.purpose}${issuer.current ? ', current' : ''}, key ${places[issuer.key]}`,
        issuer,
      ),
    ),
    ...report.withdrawn.map((one) => row('withdrawn', one)),
  ]);
  const checks = table([
    ['CHECK', 'OK', 'DETAIL'],
    ...report.checks.map(({ name, ok, detail }) => [
      name,
      ok ? out.style.color('green', 'yes') : out.style.color('red', 'NO'),
      detail,
    ]),
  ]);
  const waiting = report.requests.map((key) => `requested from another CA: key ${key}\n`).join('');
  out.result(report, `${authorities}\n\n${waiting}${checks}`);
  return report.ok ? 0 : 1;
};

/** From the files when they are here: then it works also when the service cannot start. */
async function readStatus(
  options: AdminOptions,
  context: Parameters<CommandAction<AdminOptions>>[1],
): Promise<GetCaStatusResponse> {
  if (options.url !== undefined) {
    const client = await adminClient(options, context);
    return client.api.getCaStatus();
  }
  const { caReport } = await import('../../enroll/ca/ca-report.ts');
  return caReport(stateFolder(options.state), systemClock.now());
}
