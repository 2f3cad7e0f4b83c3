/** Removing a former root or issuer, at the running service or on the files. @module */
import { subjectText } from '../../core/subject-text.ts';
import type { StoppedCa } from '../../enroll/bootstrap/stopped-ca.ts';
import type { AdminClient, AdminOptions } from './admin-client.ts';
import { changeCa } from './ca-access.ts';
import type { Context } from './command-context.ts';
import { confirmed, type ConfirmationOptions } from './confirmation.ts';

export interface Retirement {
  readonly fingerprint: string;
  readonly kind: 'issuer' | 'former root';
  /** What a person should know before. */
  readonly effect: string;
  readonly online: (client: AdminClient) => Promise<unknown>;
  readonly stopped: (ca: StoppedCa) => Promise<void>;
}

/** Asks, and removes it. @returns the exit code */
export async function retireAuthority(
  { fingerprint, kind, effect, online, stopped }: Retirement,
  options: AdminOptions & ConfirmationOptions,
  context: Context,
): Promise<number> {
  const change = {
    action: 'retire',
    summary: `remove the ${kind} ${fingerprint}`,
    count: 1,
    targets: [fingerprint],
    effects: [effect],
  };
  const go = await confirmed(change, options, context);
  if (go !== true) return go;
  await changeCa(options, context, online, async ({ open }) => stopped(await open()));
  context.out.result({ fingerprint, retired: true }, `retired ${fingerprint}`);
  return 0;
}

/** A CA as the commands print it. */
export function shownAuthority(facts: {
  readonly fingerprint: string;
  readonly x509: { readonly subject: string };
  readonly notAfterMs: number;
}): { fingerprint: string; name: string; notAfter: string } {
  const { fingerprint, x509, notAfterMs } = facts;
  return { fingerprint, name: subjectText(x509), notAfter: new Date(notAfterMs).toISOString() };
}
