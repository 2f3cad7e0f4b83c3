/** `npm start` and a simulation as a person sees them in a terminal. @module */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { stringify } from 'yaml';
import { runChild } from '../support/child.ts';
import { anyPorts, flotillaPath, startUp } from '../support/cli.ts';
import { debianTool } from '../support/debian-tool.ts';
import { tempFolder } from '../support/temp-folder.ts';

/**
 * Runs a command in a terminal, keeps what the terminal shows, and presses Ctrl-C when all are online. The signal
 * comes twice, as below npm, which sends to its child what the terminal has sent to both.
 */
const inTerminal = `
import fcntl, json, os, pty, re, signal, struct, sys, termios
columns, rows = 80, 24
pid, terminal = pty.fork()
if pid == 0:
    os.environ.pop('CI', None)
    os.execv(sys.argv[1], sys.argv[1:])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
signal.alarm(100)
said, asked, again = '', None, False
while True:
    try:
        part = os.read(terminal, 65536)
    except OSError:
        break
    if not part:
        break
    said += part.decode(errors='replace')
    if asked is None and '3 online' in said and 'steady  ' in said and 'met so far' in said and 'simulated devices' not in said[-200:]:
        asked = said
        os.write(terminal, b'\\x03')
    if asked is not None and not again and 'SIGINT: stopping' in said:
        again = True
        os.kill(pid, signal.SIGINT)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
live = asked.split('\\x1b[?1049h')[1]
screen = {}
for row, text in re.findall(r'\\x1b\\[(\\d+);1H([^\\x1b]*)', live):
    screen[int(row)] = text
after = said.split('\\x1b[?1049l')[-1]
print(json.dumps({'code': code, 'before': said.split('\\x1b[?1049h')[0], 'after': after,
  'screen': [screen.get(row, '') for row in range(1, rows + 1)]}))
`;

test('at 80x24 the fleet is live above the commands to paste, and Ctrl-C restores the terminal', async (t) => {
  const python = debianTool(t, 'python3');
  if (python === undefined) return;
  t.timeout(150_000);
  const state = join(tempFolder(t), 'state');
  const done = await runChild(
    t,
    python,
    [
      ...['-c', inTerminal, process.execPath, flotillaPath],
      ...['up', '--devices', '3', '--state', state, ...anyPorts],
    ],
    { timeoutMs: 120_000, env: { CI: undefined, npm_command: 'start', NO_COLOR: '1' } },
  );
  t.is(done.code, 0, done.stderr);
  const seen = JSON.parse(done.stdout) as {
    code: number;
    before: string;
    after: string;
    screen: string[];
  };
  t.is(seen.code, 0);
  t.regex(seen.before, /^starting; the state is in /);
  t.regex(seen.before, /Flotilla is ready\./, 'the addresses stay on the screen before');
  t.regex(seen.after, /SIGINT: stopping\r\nstopped; the state is kept in /);
  const screen = seen.screen.join('\n');
  t.true(seen.screen.every((line) => line.length <= 80));
  t.regex(screen, /devices .*█/);
  t.regex(screen, /q or Ctrl-C ends it/);
  t.regex(screen, /thresholds +\d met so far/, 'it fits beside the commands');
  t.regex(screen, /phase +steady {2}for \d\d:\d\d/, 'it has no end of its own');
  t.regex(screen, /^http:\/\/127\.0\.0\.1:\d+\/sign-in\?token=[\w-]{43}$/m, 'one line to copy');
  for (const command of ['device enroll', 'service create', 'sub', 'pub', 'sim run']) {
    t.true(screen.includes(`npx flotilla ${command}`), `${command}\n${screen}`);
  }
});

/**
 * Runs a command in a terminal of 100 columns and 40 rows, types a key when a text is on the screen, and shows the last
 * state of the live screen, the exit code, and whether the terminal has its mode from before.
 */
const typing = `
import fcntl, json, os, pty, re, signal, struct, sys, termios, threading
key, wanted, command = sys.argv[1], sys.argv[2], sys.argv[3:]
master, slave = pty.openpty()
fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 100, 0, 0))
before = termios.tcgetattr(slave)
pid = os.fork()
if pid == 0:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in (0, 1, 2):
        os.dup2(slave, fd)
    os.execv(command[0], command)
signal.alarm(100)
said, typed = '', None
def read():
    global said, typed
    while True:
        try:
            said += os.read(master, 65536).decode(errors='replace')
        except OSError:
            return
        if typed is None and re.search(wanted, said, re.S):
            typed = len(said)
            os.write(master, key.encode())
reader = threading.Thread(target=read, daemon=True)
reader.start()
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
restored = termios.tcgetattr(slave) == before
os.close(slave)
reader.join(20)
rows = {}
for row, text in re.findall(r'\\x1b\\[(\\d+);1H(.*?)\\x1b\\[K', said[:typed].split('\\x1b[?1049h')[-1], re.S):
    rows[int(row)] = text
print(json.dumps({'code': code, 'restored': restored, 'screen': [rows.get(at, '') for at in range(1, 41)], 'after': said.split('\\x1b[?1049l')[-1]}))
`;

interface Typed {
  readonly code: number;
  readonly restored: boolean;
  readonly screen: readonly string[];
  readonly after: string;
}

/** Runs a simulation of three devices in a terminal, and types a key when a text is on the screen. */
async function typed(
  t: ExecutionContext,
  key: string,
  wanted: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Typed | undefined> {
  const python = debianTool(t, 'python3');
  if (python === undefined) return undefined;
  t.timeout(200_000);
  const up = await startUp();
  t.teardown(() => up.close());
  const plan = join(up.folder, 'plan.yaml');
  writeFileSync(
    plan,
    stringify({
      name: 'small',
      fleet: [{ group: 'sim', count: 3, publish: [{ rate: 2, qos: 1 }] }],
      phases: [
        { phase: 'enroll' },
        { phase: 'ramp', rate: 50 },
        { phase: 'steady', duration: '1h' },
      ],
      thresholds: [
        'devices.failed <= 0',
        'latencyMs.connect.p99 < 0',
        'devices.connected >= 4',
        'messages.lost <= 0',
      ],
    }),
  );
  const done = await runChild(
    t,
    python,
    [
      ...['-c', typing, key, wanted, process.execPath, flotillaPath],
      ...['sim', 'run', plan, '--state', up.ready.state],
    ],
    {
      timeoutMs: 120_000,
      env: { CI: undefined, NO_COLOR: undefined, FORCE_COLOR: undefined, ...env },
    },
  );
  t.is(done.code, 0, done.stderr);
  return JSON.parse(done.stdout) as Typed;
}

test('the live screen has colors and the thresholds so far, and q ends the run with its report', async (t) => {
  const seen = await typed(t, 'q', '3 online.*steady.*thresholds [^\\n]*missed', { TERM: 'xterm' });
  if (seen === undefined) return;
  const screen = seen.screen.join('\n');
  const [red, green, dim, end, bright] = ['31m', '32m', '2m', '39m', '22m'].map(
    (code) => `\u001B[${code}`,
  );
  t.true(screen.includes(`${green}3 online${end}`), screen);
  t.true(
    screen.includes(
      `thresholds ${green}1 met so far${end}  ${red}1 missed: latencyMs.connect.p99 < 0, now `,
    ),
    screen,
  );
  t.true(screen.includes(`${dim}2 not yet decided${bright}`), screen);
  t.true(screen.includes(`${green}✓ ${end}devices.failed <= 0, now 0`), screen);
  t.true(screen.includes(`${red}✗ latencyMs.connect.p99 < 0, now `), screen);
  t.true(screen.includes(`${dim}· devices.connected >= 4, now 3${bright}`), screen);
  t.true(screen.includes(`${dim}· messages.lost <= 0${bright}`), screen);
  t.is(seen.code, 3, 'a limit was missed');
  t.regex(seen.after, /FAILED|stopped/i);
  t.true(seen.restored, 'the terminal has its mode again');
});

test('with NO_COLOR the live screen has no color, and Ctrl-C ends the run', async (t) => {
  const seen = await typed(t, '\u0003', '3 online.*steady.*thresholds', { NO_COLOR: '1' });
  if (seen === undefined) return;
  t.false(seen.screen.join('\n').includes('\u001B'));
  t.regex(seen.screen.join('\n'), /devices .*█/);
  t.is(seen.code, 3);
  t.true(seen.restored);
});
