/** `flotilla device agent`: keeps the certificate of a device fresh until it is stopped. @module */
import type { Command } from 'commander';
import { systemClock } from '../../core/clock.ts';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { describeJson, type CommandAction, type CommonOptions } from '../lib/command-context.ts';
import type { RenewalOptions } from '../lib/identity-renewal.ts';
import { RenewalAgent } from '../lib/renewal-agent.ts';
import { checkDocument, readCheck, renewIfDue } from '../lib/renewal-check.ts';
import { runHook } from '../lib/renewal-hook.ts';
import { renewalOptions } from '../lib/renewal-options.ts';
import type { Runner } from '../lib/runner.ts';

interface AgentOptions extends CommonOptions, RenewalOptions {
  readonly hook?: string;
}

export function agentCommand(runner: Runner): Command {
  return describeJson(
    renewalOptions('agent', 'on the device: renew the certificate whenever it is due'),
    'print one JSON document per line on stdout: after each check, and after each failed attempt',
  ).action(runner.run(runAgent));
}

const runAgent: CommandAction<AgentOptions> = async (options, { out, environment }) => {
  // A wrong folder is reported now, and not as a failure that is tried again.
  const start = await readCheck(options.dir);
  const agent = new RenewalAgent({
    clock: systemClock,
    random: Math.random,
    validity: start,
    check: (nowMs) => renewIfDue(options, nowMs),
    async hook(check) {
      if (options.hook === undefined) return;
      const facts = { ...checkDocument(check), dir: options.dir };
      await runHook(options.hook, facts, environment.env);
    },
    report(check) {
      const made = checkDocument(check);
      const what = made.renewed ? 'renewed' : 'checked';
      const text = `${what} the certificate of ${made.device}; it is valid until ${made.notAfter}, next renewal at ${made.nextCheckAt}`;
      out.result(made, text);
    },
    failed(error, retryAtMs, last = start) {
      const nextCheckAt = new Date(retryAtMs).toISOString();
      const code = error instanceof FlotillaError ? error.code : 'internal';
      out.warn(`flotilla: ${messageOf(error)} [${code}]; next attempt at ${nextCheckAt}`);
      if (!out.json) return;
      out.result({ ...checkDocument(last), renewed: false, nextCheckAt, error: code }, '');
    },
  });
  // Timers of the clock do not keep the process alive.
  const keepAlive = setInterval(() => undefined, 60_000);
  void environment.stopAsked().then(() => agent.stop());
  try {
    await agent.run();
  } finally {
    clearInterval(keepAlive);
  }
  return 0;
};
