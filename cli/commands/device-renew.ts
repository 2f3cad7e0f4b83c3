/**
 * `flotilla device renew`: renews a certificate on the device, authenticated by the current one.
 *
 * The new certificate replaces the current one only after a test connection with it has succeeded: to
 * the broker if its address is known, otherwise to the enrollment service.
 *
 * @module
 */
import type { Command } from 'commander';
import type { CommandAction, CommonOptions, Context } from '../lib/command-context.ts';
import { renewIdentity, type RenewalOptions } from '../lib/identity-renewal.ts';
import { checkDocument, renewIfDue } from '../lib/renewal-check.ts';
import { runHook } from '../lib/renewal-hook.ts';
import { renewalOptions } from '../lib/renewal-options.ts';
import type { Runner } from '../lib/runner.ts';

interface RenewOptions extends CommonOptions, RenewalOptions {
  readonly ifDue?: boolean;
  readonly hook?: string;
}

export function renewCommand(runner: Runner): Command {
  return renewalOptions(
    'renew',
    'where the identity is stored: renew its certificate, authenticated by the current one',
  )
    .option('--if-due', 'only if the time has come that the service names, for timers')
    .action(runner.run(renew));
}

const renew: CommandAction<RenewOptions> = async (options, context) => {
  if (options.ifDue === true) return await renewDue(options, context);
  const made = await renewIdentity(options);
  if (made !== undefined) {
    const text = `renewed the certificate of ${made.device}; it ends ${context.out.moment(made.notAfter)}`;
    context.out.result(made, text);
    await afterRenewal(options, context, made);
  }
  return 0;
};

async function renewDue(options: RenewOptions, context: Context): Promise<number> {
  const check = await renewIfDue(options, Date.now());
  const made = checkDocument(check);
  const text = check.renewed
    ? `renewed the certificate of ${made.device}; it ends ${context.out.moment(made.notAfter)}`
    : `the certificate of ${made.device} is due for renewal ${context.out.moment(made.nextCheckAt)}`;
  context.out.result(made, text);
  if (check.isHookDue) await afterRenewal(options, context, made);
  return 0;
}

async function afterRenewal(
  options: RenewOptions,
  context: Context,
  { device, notAfter }: { readonly device: string; readonly notAfter: string },
): Promise<void> {
  if (options.hook === undefined) return;
  const facts = { device, notAfter, dir: options.dir };
  await runHook(options.hook, facts, context.environment.env);
}
