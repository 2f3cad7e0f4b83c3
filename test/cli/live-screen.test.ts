/** `npm start` as a person sees it: a terminal of 80 columns and 24 rows. @module */
import { join } from 'node:path';
import test from 'ava';
import { runChild } from '../support/child.ts';
import { anyPorts, flotillaPath } from '../support/cli.ts';
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
    if asked is None and '3 online' in said and 'steady  ' in said and 'simulated devices' not in said[-200:]:
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
    { timeoutMs: 120_000, env: { CI: undefined, npm_command: 'start' } },
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
  t.regex(screen, /phase +steady {2}for \d\d:\d\d/, 'it has no end of its own');
  t.regex(screen, /^http:\/\/127\.0\.0\.1:\d+\/sign-in\?token=[\w-]{43}$/m, 'one line to copy');
  for (const command of ['device enroll', 'service create', 'sub', 'pub', 'sim run']) {
    t.true(screen.includes(`npx flotilla ${command}`), `${command}\n${screen}`);
  }
});
