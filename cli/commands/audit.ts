/** `flotilla audit verify|tail`: reads the audit log. @module */
import { existsSync } from 'node:fs';
import { Command } from 'commander';
import type { DeviceId } from '../../core/device-id.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { QueryAuditResponse } from '../../core/protocol/api-client.ts';
import { tailAudit, verifyAudit, type AuditVerdict } from '../../enroll/audit/audit-reader.ts';
import { databaseAccess, type DatabaseAccess } from '../../core/database/database-connection.ts';
import { readManifest } from '../../enroll/registry/manifest.ts';
import { adminClient, type AdminClient, type AdminOptions } from '../lib/admin-client.ts';
import {
  describeJson,
  deviceId,
  durationMs,
  loadStateAndConfig,
  stateCommand,
  urlOption,
  wholeNumber,
  type CommandAction,
  type Context,
  type StateOptions,
} from '../lib/command-context.ts';
import type { Output } from '../lib/output.ts';
import type { Runner } from '../lib/runner.ts';

interface TailOptions extends AdminOptions {
  readonly lines: number;
  readonly device?: DeviceId;
  readonly since?: number;
  readonly follow?: boolean;
}

type AuditLine = QueryAuditResponse['lines'][number];

const followEveryMs = 1000;
/** Lines in one second that are shown; a fleet has fewer. */
const followMax = 10_000;
const pageMax = 200;

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
      describeJson(
        stateCommand('tail', 'print the last lines of the audit log'),
        'print one JSON document on stdout; with --follow, then one per new line',
      )
        .option('--lines <n>', 'number of lines', wholeNumber, 20)
        .option('--device <id>', 'only lines about this device', deviceId)
        .option('--since <duration>', 'only lines of this last time, like 1h', durationMs)
        .option('--follow', 'print new lines until stopped')
        .option(...urlOption)
        .action(runner.run(tail)),
    );
}

const verify: CommandAction<StateOptions> = async (options, context) => {
  const { state, config } = await loadStateAndConfig(options, context);
  const { enroll } = state;
  const access = await databaseAccess(config.enroll);
  if (access !== undefined) return verifyInDatabase(access, enroll.audit, context);
  assertAuditHere(enroll.audit);
  // Read first: a running service records a line only after it has written it.
  const noted = await readManifest(enroll.registry).catch(() => undefined);
  return reportVerdict(await verifyAudit(enroll.audit, noted?.audit), context);
};

/** The copy in the state folder has its own chain, and its last line must be one of the database. */
async function verifyInDatabase(
  access: DatabaseAccess,
  folder: string,
  context: Context,
): Promise<number> {
  const { verifyDatabaseAudit } = await import('../../enroll/database/audit-inspection.ts');
  const copy = existsSync(folder) ? await verifyAudit(folder) : undefined;
  if (copy?.ok === false) return reportVerdict(copy, context);
  return reportVerdict(await verifyDatabaseAudit(access, copy?.head ?? undefined), context);
}

function reportVerdict(result: AuditVerdict, context: Context): number {
  context.out.result(
    result,
    result.ok
      ? `the audit log is intact: ${result.lines} lines`
      : `the audit log is broken: ${result.detail}`,
  );
  return result.ok ? 0 : 1;
}

/** @throws FlotillaError `audit-elsewhere` on the machine of a broker, for example */
function assertAuditHere(folder: string): void {
  if (!existsSync(folder)) throw new FlotillaError('audit-elsewhere', { detail: folder });
}

/** Reads the files of this machine without filters, so that it works while the service is stopped; else asks the service. */
const tail: CommandAction<TailOptions> = async (options, context) => {
  const { device, since, follow = false, url } = options;
  const { out } = context;
  if (device === undefined && since === undefined && url === undefined && !follow) {
    const lines = await linesHere(options, context);
    out.result({ lines }, lines.map((line) => lineText(line, out)).join('\n'));
    return 0;
  }
  const client = await adminClient(options, context);
  const sinceMs = since === undefined ? undefined : Date.now() - since;
  const newest = await auditLines(client, { device, sinceMs, max: options.lines });
  if (!follow) {
    out.result({ lines: newest }, newest.map((line) => lineText(line, out)).join('\n'));
    return 0;
  }
  // Before the first line: whoever reads it may stop this process from then on.
  const stop = context.environment.stopAsked();
  const show = (line: AuditLine): void =>
    out.json ? out.document(line) : out.say(lineText(line, out));
  for (const line of newest) show(line);
  let seen = newest.at(-1)?.seq ?? -1;
  for (;;) {
    if (await Promise.race([stop, pause(followEveryMs)])) return 0;
    const fresh = await auditLines(client, { device, sinceMs, afterSeq: seen, max: followMax });
    for (const line of fresh) show(line);
    seen = fresh.at(-1)?.seq ?? seen;
  }
};

/** From the database if there is one, because the copy of a standby has only the lines of its own terms. */
async function linesHere(options: TailOptions, context: Context): Promise<readonly AuditLine[]> {
  const { state, config } = await loadStateAndConfig(options, context);
  const access = await databaseAccess(config.enroll);
  if (access !== undefined) {
    const { tailDatabaseAudit } = await import('../../enroll/database/audit-inspection.ts');
    return tailDatabaseAudit(access, options.lines);
  }
  assertAuditHere(state.enroll.audit);
  return tailAudit(state.enroll.audit, options.lines);
}

/** One line for a person at a terminal; JSON, as it is stored, for a file or another program. */
function lineText(line: AuditLine, out: Output): string {
  if (!out.style.isTerminal) return JSON.stringify(line);
  const { at, action, actor, device, remoteAddress, detail = {} } = line;
  const facts = Object.entries(detail)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}=${String(value)}`);
  return [
    out.style.color('dim', at.slice(0, 19).replace('T', ' ')),
    action.padEnd(20),
    device ?? '-',
    `by ${actor}`,
    ...(remoteAddress === undefined ? [] : [`from ${remoteAddress}`]),
    out.style.color('dim', facts.join(' ')),
  ].join('  ');
}

interface LineQuery {
  readonly device: DeviceId | undefined;
  readonly sinceMs: number | undefined;
  /** Only lines after this one. */
  readonly afterSeq?: number;
  readonly max: number;
}

/** The newest lines that match, oldest first. */
async function auditLines(client: AdminClient, query: LineQuery): Promise<AuditLine[]> {
  const { device, sinceMs, afterSeq = -1, max } = query;
  const found: AuditLine[] = [];
  let after: string | null = null;
  do {
    const page: QueryAuditResponse = await client.api.queryAudit({
      query: {
        limit: Math.min(max, pageMax),
        device,
        ...(sinceMs === undefined ? {} : { since: new Date(sinceMs).toISOString() }),
        ...(after === null ? {} : { after }),
      },
    });
    for (const line of page.lines) {
      if (line.seq <= afterSeq || found.length >= max) return found.reverse();
      found.push(line);
    }
    after = page.next;
  } while (after !== null);
  return found.reverse();
}

function pause(ms: number): Promise<false> {
  return new Promise((resolve) => setTimeout(resolve, ms, false));
}
