/**
 * The commands of README.md, docs/devices.md, docs/debugging.md, docs/operations.md and docs/api.md, run as they are
 * written, in their order, against a running Flotilla.
 *
 * @module
 */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { z } from 'zod';
import { deviceSchema, tokenSchema } from '../../core/protocol/enrollment-api.ts';
import { runChild, type Finished } from '../support/child.ts';
import { flotilla, flotillaPath, startUp, type Up } from '../support/cli.ts';
import { debianTool } from '../support/debian-tool.ts';
import { until } from '../support/until.ts';

interface Block {
  readonly section: string;
  readonly language: string;
  readonly text: string;
}

function blocksOf(page: string): Block[] {
  const markdown = readFileSync(page, 'utf8');
  return markdown.split(/^##+ /m).flatMap((part) => {
    const section = part.slice(0, part.indexOf('\n'));
    const blocks = part.matchAll(/^```(sh|python|js)\n(.*?)^```$/gms);
    return Array.from(blocks, ([, language = '', text = '']) => ({ section, language, text }));
  });
}

/** The ways to enroll are alternatives: each gets its own device. */
const ids: Readonly<Record<string, string>> = {
  'With openssl and curl (EST)': 'pump-8',
  'With JSON': 'pump-9',
  "With strongSwan's pki": 'pump-10',
};
const devicesPage = blocksOf('docs/devices.md');
const debuggingPage = blocksOf('docs/debugging.md');
const operationsPage = blocksOf('docs/operations.md');
const apiPage = blocksOf('docs/api.md');
/** Without "Start", which installs Flotilla and runs all tests. */
const readmePage = blocksOf('README.md').filter(({ section }) => section !== 'Start');
let up: Up;
let work: string;

test.before(async () => {
  up = await startUp();
  work = join(up.folder, 'device');
  mkdirSync(join(work, 'bin'), { recursive: true });
  // `npx flotilla …` of the pages runs the command of this checkout.
  program('npx', `shift; exec "${process.execPath}" "${flotillaPath}" "$@"`);
  // On a device the command is installed.
  program('flotilla', `exec "${process.execPath}" "${flotillaPath}" "$@"`);
  program('node', `cd "${resolve('.')}" && exec "${process.execPath}" "$@"`);
  symlinkSync(up.ready.state, join(work, '.flotilla'));
  symlinkSync(resolve('node_modules'), join(work, 'node_modules'));
});
test.after.always(() => up.close());

function program(name: string, script: string): void {
  const path = join(work, 'bin', name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

test('the pages contain the commands that this test runs', (t) => {
  const count = (blocks: readonly Block[], language: string): number =>
    blocks.filter((block) => block.language === language).length;
  t.true(count(devicesPage, 'sh') >= 11);
  t.is(count(devicesPage, 'python'), 1);
  t.is(count(devicesPage, 'js'), 1);
  t.true(count(operationsPage, 'sh') >= 4);
  t.true(count(debuggingPage, 'sh') >= 8);
  t.true(count(readmePage, 'sh') >= 5);
  for (const section of Object.keys(ids)) {
    t.true(
      devicesPage.some((block) => block.section === section),
      section,
    );
  }
});

// Serial, because the second page uses the device that the first one enrolls.
test.serial('every command of docs/devices.md does what the page says', async (t) => {
  if (!hasTools(t)) return;
  for (const block of devicesPage) await works(t, block);
  for (const file of ['cert.pem', 'renewed.pem', 'json-chain.pem', 'pki-cert.pem']) {
    t.regex(readFileSync(join(work, file), 'utf8'), /-----BEGIN CERTIFICATE-----/, file);
  }
});

test.serial('every command of docs/debugging.md does what the page says', async (t) => {
  if (!hasTools(t)) return;
  // A device of its own: on the first page, pump-7 gets a newer certificate than the one in its folder.
  const enroll = devicesPage.find(({ section }) => section === 'With the flotilla command');
  t.truthy(enroll);
  for (const block of [enroll!, ...debuggingPage]) await works(t, block, 'pump-11');
});

test.serial('every command of README.md does what the page says', async (t) => {
  for (const block of readmePage) {
    const text = block.text
      .replaceAll('-p 8883', `-p ${up.ready.mqtts.port}`)
      // A fleet at a small size; a subscriber in the background ends with the block.
      .replaceAll('--devices 1000 --duration 30s', '--devices 20 --duration 2s');
    const background = text.includes('&\n');
    await works(t, { ...block, text: background ? `${text}kill $!\n` : text });
  }
  t.is((await up.ask(deviceSchema, 'device', 'show', 'first-device')).status, 'revoked');
});

test.serial('every command of docs/api.md does what the page says', async (t) => {
  if (!hasTools(t)) return;
  const id = 'pump-21';
  const folder = join(up.folder, id);
  await up.ask(z.unknown(), 'device', 'enroll', '--id', id, '--out', folder);
  const text = apiPage
    .map((block) => block.text)
    .join('')
    .replace('URL=https://127.0.0.1:8443', '')
    .replaceAll('pump-7', id)
    // Streams do not end by themselves; 28 is curl's code for a time that is over.
    .replaceAll(/^api -N .*$/gm, '$& --max-time 2 || [ $? = 28 ]');
  t.true(text.split('\napi ').length > 20);
  await works(t, { section: 'docs/api.md', language: 'sh', text });
  const { group, attributes, status } = await up.ask(deviceSchema, 'device', 'show', id);
  t.deepEqual(
    { group, attributes, status },
    { group: 'north', attributes: { site: 'Oslo' }, status: 'active' },
  );
});

test.serial('every command of docs/operations.md does what the page says', async (t) => {
  if (!hasTools(t)) return;
  // The page begins with a status that reports no problem. On a busy machine, the broker may be silent for some seconds.
  await untilAllIsWell();
  for (const block of operationsPage) await works(t, block);
  t.is((await up.ask(deviceSchema, 'device', 'show', 'pump-7')).status, 'revoked');
  // With its certificate of the new issuer, the broker reconnects to the feed.
  await untilAllIsWell();
});

function untilAllIsWell(): Promise<unknown> {
  return until(
    'all is well',
    async () => (await flotilla(['status', '--state', up.ready.state])).code === 0,
  );
}

function hasTools(t: ExecutionContext): boolean {
  const tools = ['openssl', 'curl', 'jq', 'pki', 'mosquitto_pub', 'mosquitto_rr', 'python3'];
  return tools.every((tool) => debianTool(t, tool) !== undefined);
}

async function works(t: ExecutionContext, block: Block, id?: string): Promise<void> {
  const done = await run(t, block, id ?? ids[block.section] ?? 'pump-7');
  t.is(done.code, 0, `${block.section}\n${block.text}\n${done.stdout}\n${done.stderr}`);
}

async function run(t: ExecutionContext, block: Block, id: string): Promise<Finished> {
  const { language, text } = block;
  const { host, port } = up.ready.mqtts;
  // Each block gets its own token, because it enrolls once.
  const { token } = await up.ask(tokenSchema, 'token', 'create', '--device', id);
  const options = {
    cwd: work,
    env: {
      PATH: `${join(work, 'bin')}:/usr/bin:/bin:/usr/sbin:/sbin`,
      FLOTILLA_STATE: up.ready.state,
      ID: id,
      URL: up.ready.https.url,
      FINGERPRINT: up.ready.ca.fingerprint,
      TOKEN: token,
      HOST: host,
      PORT: String(port),
    },
    timeoutMs: 120_000,
  };
  if (language === 'sh') return runChild(t, '/bin/bash', ['-euo', 'pipefail', '-c', text], options);
  if (language === 'python') return runChild(t, '/usr/bin/python3', ['-c', text], options);
  writeFileSync(join(work, 'example.mjs'), text);
  return runChild(t, process.execPath, ['example.mjs'], options);
}
