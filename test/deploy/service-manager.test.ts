/**
 * What a service reports to systemd, received by a socket like systemd's, and SIGHUP of both services.
 *
 * @module
 */
import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { caStatusSchema } from '../../core/protocol/ca-status.ts';
import { tokenSchema } from '../../core/protocol/enrollment-api.ts';
import { identityFiles, stateFolder } from '../../core/state-folder.ts';
import { spawnChild, spawnNode, type Child } from '../support/child.ts';
import { anyPorts, flotilla, flotillaPath, type Ready } from '../support/cli.ts';
import { debianTool } from '../support/debian-tool.ts';
import { tempFolder } from '../support/temp-folder.ts';

/** Prints each message as one line. systemd closes the descriptor of a BARRIER message. */
const receiver = `
import array, json, os, socket, sys
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.bind(sys.argv[1])
print('listens', flush=True)
while True:
    message, control, _, _ = notify.recvmsg(4096, socket.CMSG_LEN(16))
    for level, kind, data in control:
        for descriptor in array.array('i', data[:len(data) - len(data) % 4]):
            os.close(descriptor)
    if not message.startswith(b'BARRIER'):
        print(json.dumps(message.decode().split('\\n')), flush=True)
`;

async function notifySocket(
  t: ExecutionContext,
): Promise<{ path: string; messages: Child } | undefined> {
  const python = debianTool(t, 'python3');
  if (python === undefined || debianTool(t, 'systemd-notify') === undefined) return undefined;
  const path = join(tempFolder(t), 'notify');
  const messages = spawnChild(t, python, ['-c', receiver, path], { timeoutMs: 200_000 });
  await messages.line((line) => line === 'listens');
  return { path, messages };
}

test('systemd is notified that the service is ready, alive, and stopping', async (t) => {
  const notify = await notifySocket(t);
  if (notify === undefined) return;
  const { messages } = notify;
  const child = spawnNode(
    t,
    [flotillaPath, 'up', '--json', '--state', join(tempFolder(t), 'state'), ...anyPorts],
    { timeoutMs: 200_000, env: { NOTIFY_SOCKET: notify.path, WATCHDOG_USEC: '400000' } },
  );
  const ready = JSON.parse(await child.line(() => true)) as Ready;
  const first = await messages.line((line) => line.includes('READY=1'));
  t.true(first.includes(`STATUS=mqtts port ${ready.mqtts.port}`), first);
  await messages.line((line) => line.includes('WATCHDOG=1'));
  t.is((await child.stop()).code, 0);
  await messages.line((line) => line.includes('STOPPING=1'));
  t.is(
    messages
      .stdout()
      .split('\n')
      .filter((line) => line.includes('READY=1')).length,
    1,
  );
});

test('a process whose event loop is blocked sends no watchdog message', async (t) => {
  const notify = await notifySocket(t);
  if (notify === undefined) return;
  const { messages } = notify;
  const child = spawnNode(
    t,
    [
      ...['--import', `data:text/javascript,process.on('SIGUSR2',()=>{for(;;);})`],
      ...[flotillaPath, 'enroll', 'serve', '--json', '--state', join(tempFolder(t), 'state')],
      ...['--https-port', '0'],
    ],
    { timeoutMs: 200_000, env: { NOTIFY_SOCKET: notify.path, WATCHDOG_USEC: '400000' } },
  );
  await child.line(() => true);
  await messages.line((line) => line.includes('WATCHDOG=1'));
  child.process.kill('SIGUSR2');
  const count = (): number => messages.stdout().split('WATCHDOG=1').length;
  // Messages that were on their way arrive; then there are no more, however long one waits.
  let before = -1;
  for (let quietRounds = 0; quietRounds < 5;) {
    await new Promise((resolve) => setTimeout(resolve, 400));
    quietRounds = count() === before ? quietRounds + 1 : 0;
    before = count();
  }
  t.is(child.process.exitCode, null);
  await child.stop('SIGKILL');
});

test('without systemd-notify the service runs, and the log says once what is missing', async (t) => {
  const child = spawnNode(
    t,
    [
      ...[flotillaPath, 'enroll', 'serve', '--json', '--state', join(tempFolder(t), 'state')],
      ...['--https-port', '0'],
    ],
    {
      env: { NOTIFY_SOCKET: '/nowhere', WATCHDOG_USEC: '400000', PATH: tempFolder(t) },
      timeoutMs: 100_000,
    },
  );
  await child.line(() => true);
  await child.errorLine((line) => line.includes('could not send a message to systemd'));
  t.is((await child.stop()).code, 0);
  t.is(child.stderr().split('could not send a message').length, 2);
});

test('SIGHUP reloads the enrollment service and does not end it', async (t) => {
  const state = join(tempFolder(t), 'state');
  const child = spawnNode(
    t,
    [flotillaPath, 'enroll', 'serve', '--json', '--state', state, '--https-port', '0'],
    { timeoutMs: 100_000 },
  );
  await child.line(() => true);
  const yaml = 'names: [later.example]\nlog: { level: debug }\nenroll: { crlValidity: 2h }\n';
  writeFileSync(join(state, 'flotilla.yaml'), yaml);
  child.process.kill('SIGHUP');
  const applied = await child.errorLine((line) => line.includes('are in force'));
  t.true(applied.includes('["log.level","names"]'), applied);
  const waiting = await child.errorLine((line) => line.includes('need a restart'));
  t.true(waiting.includes('["enroll.crlValidity"]'), waiting);
  await child.errorLine((line) => line.includes('"reloaded"'));
  const chain = await readFile(identityFiles(stateFolder(state).enroll.tls).chain, 'utf8');
  t.is(new X509Certificate(chain).checkHost('later.example'), 'later.example');
  const done = await flotilla(['token', 'create', '--device', 'after', '--state', state]);
  t.is(done.code, 0, done.stderr);
  t.is((await child.stop()).code, 0);
});

test('a profile that SIGHUP brings, and that first needs the issuer of devices that are servers, enrolls such a device', async (t) => {
  const folder = tempFolder(t);
  const state = join(folder, 'state');
  const child = spawnNode(
    t,
    [flotillaPath, 'up', '--json', '--state', state, '--log-level', 'info', ...anyPorts],
    { timeoutMs: 200_000 },
  );
  const ready = JSON.parse(await child.line(() => true)) as Ready;
  const token = async (): Promise<string> => {
    const args = ['token', 'create', '--device', 'm-1', '--profile', 'machine', '--state', state];
    return (await flotilla([...args, '--json'])).stdout;
  };
  t.regex(await token(), /"profile-not-found"/);
  const yaml = `enroll: { profiles: { machine: { serverNames: { dns: ['{id}.plant.example'] } } } }\n`;
  writeFileSync(join(state, 'flotilla.yaml'), yaml);
  child.process.kill('SIGHUP');
  await child.errorLine((line) => line.includes('"reloaded"'));
  const out = join(folder, 'm-1');
  const enrolled = await flotilla([
    ...['device', 'enroll', '--url', ready.https.url, '--fingerprint', ready.ca.fingerprint],
    ...[
      '--token',
      tokenSchema.parse(JSON.parse(await token())).token,
      '--id',
      'm-1',
      '--names',
      'm-1.plant.example',
      '--out',
      out,
    ],
  ]);
  t.is(enrolled.code, 0, enrolled.stderr);
  const leaf = new X509Certificate(await readFile(identityFiles(out).cert));
  const status = await flotilla(['ca', 'status', '--state', state, '--json']);
  const issuer = caStatusSchema
    .parse(status.json())
    .issuers.find(({ purpose }) => purpose === 'device-servers');
  t.is(leaf.checkHost('m-1.plant.example'), 'm-1.plant.example');
  t.is(leaf.issuer, issuer?.name ?? 'none');
  const mqtts = ['--mqtts', `${ready.mqtts.host}:${ready.mqtts.port}`];
  const connected = await flotilla(['doctor', '--dir', out, '--json', ...mqtts]);
  t.is(connected.code, 0, connected.stdout + connected.stderr);
  const renewed = await flotilla(['device', 'renew', '--dir', out, '--rekey', ...mqtts]);
  t.is(renewed.code, 0, renewed.stderr);
  const next = new X509Certificate(await readFile(identityFiles(out).cert));
  t.is(next.checkHost('m-1.plant.example'), 'm-1.plant.example');
  t.not(next.serialNumber, leaf.serialNumber);
  t.is((await child.stop()).code, 0);
});
