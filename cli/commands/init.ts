/** `flotilla init`: creates the state folder without starting a service. @module */
import { Option, type Command } from 'commander';
import { Lifecycle } from '../../core/lifecycle.ts';
import {
  loadStateAndConfig,
  stateCommand,
  type CommandAction,
  type StateOptions,
} from '../lib/command-context.ts';
import { lockState } from '../lib/run-file.ts';
import type { Runner } from '../lib/runner.ts';

export function initCommand(runner: Runner): Command {
  return stateCommand(
    'init',
    'create the CA, the certificates and the policy, without starting a service',
  )
    .addOption(
      new Option(
        '--restore <identity>',
        'issue the identity again, with a new key, after it was suspended, revoked or deleted',
      ).choices(['admin', 'broker']),
    )
    .addOption(
      new Option(
        '--accept-loss <what>',
        'continue without changes that the registry has lost, or with a new audit log',
      ).choices(['registry', 'audit']),
    )
    .action(runner.run(init));
}

interface InitOptions extends StateOptions {
  readonly restore?: 'admin' | 'broker';
  readonly acceptLoss?: 'registry' | 'audit';
}

const init: CommandAction<InitOptions> = async (options, context) => {
  const { prepareState, serviceLog } = await import('../lib/serving.ts');
  const { state, config } = await loadStateAndConfig(options, context, { log: { level: 'warn' } });
  const lifecycle = new Lifecycle();
  return lifecycle.guard(async () => {
    await lockState(state, ['enroll', 'broker'], lifecycle);
    const { fingerprint, created } = await prepareState(
      state,
      config,
      serviceLog(config),
      context.environment,
      options,
    );
    context.out.result(
      { state: state.root, ca: { file: state.ca.rootCert, fingerprint } },
      `${created ? 'created' : 'kept'} ${state.root}\nroot ${fingerprint}`,
    );
    await lifecycle.close();
    return 0;
  });
};
