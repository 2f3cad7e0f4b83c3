import { join } from 'node:path';
import test from 'ava';
import { z } from 'zod';
import { runChild, type Finished } from '../support/child.ts';
import { anyPorts, flotillaPath, startUp } from '../support/cli.ts';
import { debianTool } from '../support/debian-tool.ts';
import { tempFolder } from '../support/temp-folder.ts';

/** Runs a command in its own terminal and performs an action when it is ready. */
const inTerminal = `
import os, pty, signal, sys, time
action, command = sys.argv[1], sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(command[0], command)
said = b''
while b'is ready' not in said:
    said += os.read(terminal, 65536)
if action == 'close':
    os.close(terminal)
else:
    os.kill(pid, signal.SIGHUP)
    time.sleep(1)
    print('alive' if os.waitpid(pid, os.WNOHANG)[0] == 0 else 'gone', flush=True)
    os.kill(pid, signal.SIGTERM)
signal.alarm(20)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

for (const [action, what, expected] of [
  ['close', 'a service whose terminal closes ends in order', '0'],
  ['reload', 'SIGHUP while the terminal is there asks for a reload, not for the end', 'alive\n0'],
] as const) {
  test(what, async (t) => {
    const python = debianTool(t, 'python3');
    if (python === undefined) return;
    const state = join(tempFolder(t), 'state');
    const done: Finished = await runChild(
      t,
      python,
      [
        ...['-c', inTerminal, action],
        ...[process.execPath, flotillaPath, 'up', '--state', state, ...anyPorts],
      ],
      { timeoutMs: 120_000 },
    );
    t.is(done.stdout.trim(), expected, done.stderr);
  });
}

/** Runs a command in a terminal and types an answer when it asks. */
const answering = `
import os, pty, sys
answer, command = sys.argv[1], sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(command[0], command)
said = b''
asked = False
while True:
    try:
        data = os.read(terminal, 65536)
    except OSError:
        break
    if data == b'':
        break
    said += data
    if not asked and b'[y/N]' in said:
        asked = True
        os.write(terminal, answer.encode() + b'\\n')
print(said.decode())
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

test('a destructive command asks on a terminal, and only yes goes ahead', async (t) => {
  const python = debianTool(t, 'python3');
  if (python === undefined) return;
  const up = await startUp();
  t.teardown(() => up.close());
  const id = 'asked-1';
  await up.ask(z.unknown(), ...['device', 'enroll', '--id', id, '--out', join(up.folder, id)]);
  const remove = async (answer: string): Promise<string> => {
    const command = ['device', 'delete', id, '--state', up.ready.state];
    const args = ['-c', answering, answer, process.execPath, flotillaPath, ...command];
    return (await runChild(t, python, args, { timeoutMs: 120_000 })).stdout;
  };
  const refused = await remove('');
  t.regex(refused, /Delete asked-1 \(role device\)\?\s+1 active certificate is revoked/);
  t.regex(refused, /nothing was changed\s+1\s*$/);
  t.regex(await remove('y'), /deleted asked-1\s+0\s*$/);
});
