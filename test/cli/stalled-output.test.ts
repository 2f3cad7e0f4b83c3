/** The reader of stdout and stderr is stopped: the services work, and stop in order. @module */
import { spawn } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  writeSync,
} from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import test from 'ava';
import { runChild } from '../support/child.ts';
import { anyPorts, flotillaPath } from '../support/cli.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { until } from '../support/until.ts';

/** Opens a named pipe without a reader that reads, and fills it. */
function fillPipe(path: string): number {
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  for (const size of [4096, 1]) {
    try {
      for (;;) writeSync(fd, Buffer.alloc(size, '.'));
    } catch {
      // It is full.
    }
  }
  return fd;
}

function statusOf(url: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).on('error', reject);
  });
}

test('services start, answer and stop in order while nobody reads their output', async (t) => {
  const folder = tempFolder(t);
  const [out, err, state] = [join(folder, 'out'), join(folder, 'err'), join(folder, 'state')];
  t.is((await runChild(t, 'mkfifo', [out, err])).code, 0);
  const readers = [fillPipe(out), fillPipe(err)];
  const writers = [openSync(out, 'w'), openSync(err, 'w')] as const;
  const args = [flotillaPath, 'up', '--state', state, '--log-level', 'trace', ...anyPorts];
  const child = spawn(process.execPath, args, { stdio: ['ignore', ...writers] });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  t.teardown(() => child.kill('SIGKILL'));
  for (const fd of writers) closeSync(fd);
  const run = join(state, 'run');
  await until(
    'both services run',
    () => existsSync(join(run, 'enroll.json')) && existsSync(join(run, 'broker.json')),
  );
  const { metrics } = JSON.parse(readFileSync(join(run, 'enroll.json'), 'utf8')) as {
    metrics: { url: string };
  };
  t.is(await statusOf(new URL('/healthz', metrics.url).href), 200);
  child.kill('SIGTERM');
  t.is(await ended, 0);
  t.deepEqual(readdirSync(run), []);
  for (const fd of readers) closeSync(fd);
});
