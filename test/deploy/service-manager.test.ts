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
