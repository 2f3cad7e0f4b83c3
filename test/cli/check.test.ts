/** `flotilla check`: a running and a stopped state folder, and each kind of damage. @module */
import {
  chmodSync,
  cpSync,
  globSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import test from 'ava';
import { z } from 'zod';
import { systemProcesses } from '../../core/process-identity.ts';
import { stateFolder, type StateFolder } from '../../core/state-folder.ts';
import { flotilla, startUp, type Up } from '../support/cli.ts';
import { tempFolder } from '../support/temp-folder.ts';

const reportSchema = z.object({
  ok: z.boolean(),
  findings: z.array(
    z.object({
      code: z.string(),
      path: z.string(),
      title: z.string(),
      detail: z.string(),
      advice: z.string(),
    }),
  ),
  omitted: z.number(),
  checked: z.array(z.object({ name: z.string(), detail: z.string() })),
});
type Report = z.infer<typeof reportSchema>;

async function check(root: string): Promise<Report> {
  const done = await flotilla(['check', '--state', root, '--json']);
  const report = reportSchema.parse(done.json());
  if (report.ok !== (done.code === 0)) throw new Error(`exit code ${done.code}`);
  return report;
}

let up: Up;
/** The state of a fleet that was stopped. Keys are not decrypted, which is slow on purpose. */
let stopped: string;

test.before(async () => {
  up = await startUp('--devices', '3');
  const device = z.object({ id: z.string() });
  const { devices } = await up.ask(z.object({ devices: z.array(device) }), 'device', 'list');
  await up.ask(z.unknown(), 'device', 'revoke', devices.find(({ id }) => id !== 'admin')!.id);
});
test.after.always(() => up.close());

test.serial('the state of a running fleet is in order, with keys and over the locks', async (t) => {
  const { findings, checked } = await check(up.ready.state);
  t.deepEqual(findings, []);
  const details = new Map(checked.map(({ name, detail }) => [name, detail]));
  t.is(details.get('services'), 'enrollment running, broker running');
  t.regex(details.get('ca') ?? '', /decrypted/);
  for (const name of ['registry', 'audit log', 'directory', 'store', 'identities']) {
    t.regex(details.get(name) ?? '', /[1-9a-z]/, name);
  }
});

test.serial('a stopped state is in order, and nothing in it has changed', async (t) => {
  stopped = join(up.folder, 'stopped');
  const { code } = await up.child.stop();
  t.is(code, 0);
  cpSync(up.ready.state, stopped, { recursive: true, verbatimSymlinks: true });
  rmSync(join(stopped, 'ca', 'passphrase'));
  const before = contentOf(stopped);
  const { findings, checked } = await check(stopped);
  t.deepEqual(findings, []);
  t.regex(checked.find(({ name }) => name === 'ca')?.detail ?? '', /not decrypted/);
  t.deepEqual(contentOf(stopped), before);
});

function contentOf(root: string): Map<string, string> {
  const files = globSync(join(root, '**'), { withFileTypes: true }).filter((one) => one.isFile());
  const paths = files.map((one) => join(one.parentPath, one.name));
  return new Map(paths.map((path) => [relative(root, path), readFileSync(path, 'latin1')]));
}

/** The first file that matches. */
function file(root: string, pattern: string): string {
  const [path] = globSync(join(root, pattern)).sort();
  if (path === undefined) throw new Error(`no ${pattern}`);
  return path;
}

function flip(path: string, place = 0.5): void {
  const bytes = readFileSync(path);
  const at = Math.floor(bytes.length * place);
  bytes[at] = (bytes[at] ?? 0) ^ 4;
  writeFileSync(path, bytes);
}

/** Changes the signature of a certificate; the text stays base64, and the structure DER. */
function changeSignature(path: string): void {
  const text = readFileSync(path, 'utf8');
  const end = text.indexOf('\n-----END') - 70;
  const at = text[end] === '\n' ? end - 1 : end;
  writeFileSync(path, text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1));
}

function cut(path: string, share = 0.5): void {
  truncateSync(path, Math.floor(readFileSync(path).length * share));
}

function replaceIn(path: string, from: string | RegExp, to: string): void {
  const text = readFileSync(path, 'utf8');
  if (text.replace(from, to) === text) throw new Error(`${path} has no ${String(from)}`);
  writeFileSync(path, text.replace(from, to));
}

type Damage = readonly [what: string, code: string, damage: (state: StateFolder) => void];

const damages: readonly Damage[] = [
  [
    'a bit of a shard',
    'registry-damaged',
    ({ enroll }) => flip(file(enroll.registry, 'devices/*.json')),
  ],
  [
    'a shard removed',
    'registry-damaged',
    ({ enroll }) => rmSync(file(enroll.registry, 'devices/*.json')),
  ],
  [
    'an empty shard',
    'registry-damaged',
    ({ enroll }) => cut(file(enroll.registry, 'devices/*.json'), 0),
  ],
  [
    'the manifest removed',
    'registry-damaged',
    ({ enroll }) => rmSync(join(enroll.registry, 'manifest.json')),
  ],
  [
    'the journal removed',
    'registry-damaged',
    ({ enroll }) => rmSync(file(enroll.registry, 'journal-*.jsonl')),
  ],
  [
    'a row with another shape',
    'registry-damaged',
    ({ enroll }) => {
      const path = file(enroll.registry, 'devices/*.json');
      replaceIn(path, /"\$crc32": "[0-9a-f]{8}",?\n/, '');
      replaceIn(path, /"status":"(?:active|revoked)"/, '"status":"admitted"');
    },
  ],
  [
    'the registry removed',
    'registry-missing',
    ({ enroll }) => rmSync(enroll.registry, { recursive: true }),
  ],
  ['a bit of the audit log', 'audit-damaged', ({ enroll }) => flip(file(enroll.audit, '*.jsonl'))],
  [
    'lines at the end of the audit log removed',
    'audit-damaged',
    ({ enroll }) => replaceIn(file(enroll.audit, '*.jsonl'), /(?:[^\n]*\n){2}$/, ''),
  ],
  [
    'the audit log removed',
    'audit-missing',
    ({ enroll }) => rmSync(enroll.audit, { recursive: true }),
  ],
  ['half of the root', 'certificate-unreadable', ({ ca }) => cut(ca.rootCert)],
  ['the root removed', 'ca-missing', ({ ca }) => rmSync(ca.rootCert)],
  [
    'the signature of an issuer',
    'ca-chain-broken',
    ({ ca }) => changeSignature(file(ca.folder, 'issuers/*/cert.pem')),
  ],
  ['a key of the CA', 'ca-key-unreadable', ({ ca }) => cut(ca.issuerKey)],
  ['the list of the root', 'crl-malformed', ({ ca }) => flip(ca.rootCrl)],
  [
    'the key of another identity',
    'identity-unreadable',
    ({ admin, broker }) =>
      cpSync(file(admin, '.current/key.pem'), file(broker.identity, '.current/key.pem')),
  ],
  [
    'a missing certificate',
    'identity-unreadable',
    ({ admin }) => rmSync(file(admin, '.current/chain.pem')),
  ],
  ['a bit of the database', 'store-damaged', ({ broker }) => flip(broker.store, 0.3)],
  ['half of the database', 'store-damaged', ({ broker }) => cut(broker.store)],
  ['an empty database', 'store-damaged', ({ broker }) => cut(broker.store, 0)],
  ['the directory of the broker', 'directory-damaged', ({ broker }) => cut(broker.directory)],
  ['the policy', 'policy-invalid', ({ policy }) => writeFileSync(policy, 'roles: [')],
  ['the configuration', 'config-invalid', ({ config }) => writeFileSync(config, 'prot: 1\n')],
  ['a key that others can read', 'file-too-open', ({ ca }) => chmodSync(ca.rootKey, 0o644)],
  [
    'a folder that others can read',
    'file-too-open',
    ({ enroll }) => chmodSync(enroll.registry, 0o755),
  ],
  [
    'a file that others can change',
    'file-writable-by-others',
    ({ policy }) => chmodSync(policy, 0o666),
  ],
  [
    'a temporary file',
    'leftover-file',
    ({ enroll }) =>
      writeFileSync(join(enroll.folder, '.crl-number.0123456789ab.tmp'), '', { mode: 0o600 }),
  ],
  [
    'the file of a process that has ended',
    'run-file-stale',
    ({ run }) => {
      const process = { ...systemProcesses.self, started: '1' };
      writeFileSync(run.broker, JSON.stringify({ process }), { mode: 0o600 });
    },
  ],
];

for (const [what, code, damage] of damages) {
  test.serial(`damage is found: ${what}`, async (t) => {
    const root = join(tempFolder(t), 'state');
    cpSync(stopped, root, { recursive: true, verbatimSymlinks: true });
    damage(stateFolder(root));
    const { ok, findings } = await check(root);
    t.false(ok);
    t.true(
      findings.some((finding) => finding.code === code && finding.path.startsWith(root)),
      JSON.stringify(findings),
    );
    for (const { title, advice } of findings) t.true(title !== '' && advice !== '');
  });
}
