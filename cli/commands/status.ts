/** `flotilla status`: shows what is running, what expires and what is wrong. @module */
import { access, readFile } from 'node:fs/promises';
import { request } from 'node:http';
import type { Command } from 'commander';
import { readCertificate } from '../../certs/certificate.ts';
import { checkExpiry } from '../../certs/expiry-warning.ts';
import { amountText } from '../../core/amount-text.ts';
import { statusSchema, type Status } from '../../core/protocol/enrollment-api.ts';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { issuesText } from '../../core/issue-text.ts';
import { identityFiles, stateFolder, type StateFolder } from '../../core/state-folder.ts';
import { adminClient } from '../lib/admin-client.ts';
import {
  stateCommand,
  type CommandAction,
  type Context,
  type StateOptions,
} from '../lib/command-context.ts';
import { readBrokerRun, readClusterRun, readEnrollRun } from '../lib/run-file.ts';
import type { Runner } from '../lib/runner.ts';

type Check = Status['checks'][number];

interface StatusOptions extends StateOptions {
  readonly all?: boolean;
}

/**
 * Checks that a person needs to see only while they are wrong: so the rest fits on a terminal of 24 lines. A check that is
 * not here is always shown.
 */
const shownIfWrong: ReadonlySet<string> = new Set([
  'issuer of services',
  'OCSP of issuers',
  'certificate of the service',
  'registry',
  'registry history',
  ...[
    'event loop',
    'store',
    'listening',
    'directory',
    'server certificate',
    'memory allocator',
    'registry',
    'directory on disk',
    'reload',
    'incident holds',
  ].map((name) => `broker: ${name}`),
]);

const answerMaxChars = 1024 * 1024;

export function statusCommand(runner: Runner): Command {
  return stateCommand('status', 'show what is running, what expires and what is wrong')
    .option('--all', 'also show the details that report no problem')
    .action(runner.run(status));
}

const status: CommandAction<StatusOptions> = async (options, context) => {
  const state = stateFolder(options.state);
  const checks = [
    ...(await certificateChecks(state)),
    ...(await enrollChecks(state, options, context)),
    ...(await brokerChecks(state)),
    ...(await clusterChecks(state)),
  ];
  if (checks.length === 0) throw new FlotillaError('state-missing', { detail: options.state });
  const ok = checks.every((check) => check.ok);
  context.out.result({ ok, checks }, statusText(checks, options.all === true, context));
  return ok ? 0 : 1;
};

/** One line per check. What is wrong is always there. */
function statusText(checks: readonly Check[], all: boolean, { out }: Context): string {
  const shown = checks.filter(({ ok, name }) => all || !ok || !shownIfWrong.has(name));
  const lines = shown.map(({ ok, name, detail }) => {
    const word = out.style.color(ok ? 'green' : 'red', ok ? 'ok   ' : 'WRONG');
    return `${word} ${name}: ${detail}`;
  });
  const right = checks.length - shown.length;
  if (right > 0) {
    const more = amountText(right, 'more check reports', 'more checks report');
    lines.push(`${out.style.color('green', 'ok   ')} ${more} no problem; --all shows them`);
  }
  return lines.join('\n');
}

async function certificateChecks(state: StateFolder): Promise<Check[]> {
  const files = [
    ['root certificate', state.ca.rootCert],
    ['issuer certificate', state.ca.issuerCert],
    ['administrator certificate', identityFiles(state.admin).cert],
    ['broker certificate', identityFiles(state.broker.identity).cert],
  ] as const;
  const checks: Check[] = [];
  for (const [name, path] of files) {
    const pem = await readFile(path, 'utf8').catch(() => undefined);
    if (pem === undefined) continue;
    const facts = readCertificate(pem);
    const { ok, detail } = checkExpiry(facts, Date.now());
    const root = name === 'root certificate' ? `, ${facts.fingerprint}` : '';
    checks.push({ name, ok, detail: `${detail}${root}` });
  }
  return checks;
}

async function enrollChecks(
  state: StateFolder,
  options: StateOptions,
  context: Context,
): Promise<Check[]> {
  const name = 'enrollment service';
  const run = await readEnrollRun(state);
  if (run === undefined) {
    const hosted = await readFile(state.ca.issuerCert).catch(() => undefined);
    return hosted === undefined ? [] : [{ name, ok: false, detail: 'is not running' }];
  }
  try {
    const client = await adminClient(options, context);
    const answer = await client.api.getStatus();
    return [
      { name, ok: true, detail: `${run.https.url}, process ${run.process.pid}` },
      // The files of the CA are on this machine, and shown already.
      ...answer.checks.filter(({ name: check }) => check !== 'root' && check !== 'issuer'),
    ];
  } catch (error) {
    return [{ name, ok: false, detail: messageOf(error) }];
  }
}

/** The processes of a cluster on this machine. */
async function clusterChecks(state: StateFolder): Promise<Check[]> {
  const run = await readClusterRun(state);
  return (run?.nodes ?? []).map(({ name, role, pid }) => ({
    name: `cluster: ${name}`,
    ok: role === 'active' || role === 'standby',
    detail: `${role}${pid === null ? '' : `, process ${pid}`}`,
  }));
}

async function brokerChecks(state: StateFolder): Promise<Check[]> {
  const name = 'broker';
  const run = await readBrokerRun(state);
  if (run === undefined) {
    // The folder may have the identity of a broker, from flotilla init or up, although brokers run elsewhere. A broker that ever ran here has stored its directory.
    const hosted = await access(state.broker.directory).then(
      () => true,
      () => false,
    );
    return hosted ? [{ name, ok: false, detail: 'is not running' }] : [];
  }
  const where = `mqtts://${run.mqtts.host}:${run.mqtts.port}, process ${run.process.pid}`;
  try {
    const answer = statusSchema.safeParse(
      JSON.parse(await fetchText(new URL('/statusz', run.metrics.url))),
    );
    if (!answer.success) throw new Error(issuesText(answer.error.issues, 'response'));
    return [
      { name, ok: true, detail: where },
      ...answer.data.checks.map((check) => ({ ...check, name: `broker: ${check.name}` })),
    ];
  } catch (error) {
    return [{ name, ok: false, detail: `${where}: ${messageOf(error)}` }];
  }
}

function fetchText(url: URL): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text = (text + chunk).slice(0, answerMaxChars)));
      response.on('end', () => resolve(text));
      response.on('error', reject);
    });
    outgoing.setTimeout(5000, () => outgoing.destroy(new Error('no response in 5 s')));
    outgoing.on('error', reject);
    outgoing.end();
  });
}
