/** `flotilla init`: creates the state and nothing else. @module */
import type { Command } from 'commander';
import { Lifecycle } from '../../core/lifecycle.ts';
import { configured, stateCommand, type Action, type StateOptions } from '../lib/context.ts';
import type { Runner } from '../lib/runner.ts';

export function initCommand(runner: Runner): Command {
  return stateCommand('init', 'create the CA, the certificates and the policy, and stop').action(
    runner.run(init),
  );
}

const init: Action<StateOptions> = async (options, context) => {
  const { holdState, prepareState, serviceLog } = await import('../lib/serving.ts');
  const { state, config } = await configured(options, context, { log: { level: 'warn' } });
  const lifecycle = new Lifecycle();
  return lifecycle.guard(async () => {
    await holdState(state, ['enroll', 'broker'], lifecycle);
    const { fingerprint, created } = await prepareState(
      state,
      config,
      serviceLog(config),
      context.world,
    );
    context.out.result(
      { state: state.root, ca: { file: state.ca.rootCert, fingerprint } },
      `${created ? 'created' : 'kept'} ${state.root}\nroot ${fingerprint}`,
    );
    await lifecycle.close();
    return 0;
  });
};
