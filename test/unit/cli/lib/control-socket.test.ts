import { mkdirSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import test from 'ava';
import { openControlSocket, requestStoreCopy } from '../../../../cli/lib/control-socket.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

test('a request reaches the service, also in a folder with a long path', async (t) => {
  const folder = join(tempFolder(t), 'a'.repeat(120));
  mkdirSync(folder);
  const path = join(folder, 'broker.sock');
  const asked: string[] = [];
  const close = await openControlSocket(path, {
    copyStore(target) {
      asked.push(target);
      return target.endsWith('bad') ? Promise.reject(new Error('no space')) : Promise.resolve(true);
    },
  });
  t.is(statSync(path).mode & 0o777, 0o600);
  t.true(await requestStoreCopy(path, '/tmp/copy'));
  await t.throwsAsync(requestStoreCopy(path, '/tmp/bad'), {
    message: /no space/,
    code: 'backup-failed',
  });
  t.deepEqual(asked, ['/tmp/copy', '/tmp/bad']);
  await close();
  await t.throwsAsync(requestStoreCopy(path, '/tmp/copy'), { code: 'backup-failed' });
});

test('a request that is too long or no request gets a fault, and changes nothing', async (t) => {
  const path = join(tempFolder(t), 'broker.sock');
  const close = await openControlSocket(path, {
    copyStore(target) {
      t.fail(target);
      return Promise.resolve(true);
    },
  });
  t.teardown(close);
  for (const text of ['{"copyStore":1}\n', '{"other":true}\n', 'x'.repeat(20_000)]) {
    const socket = connect(path);
    let answer = '';
    socket.on('data', (chunk) => (answer += chunk.toString()));
    socket.on('error', () => undefined);
    socket.write(text);
    await once(socket, 'close');
    t.like(JSON.parse(answer), { done: false });
  }
});
