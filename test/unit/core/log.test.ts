/** What the log says, and what it must never say. @module */
import { generateKeyPairSync } from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import { createLog, secretNames, silentLog } from '../../../core/log.ts';
import { runChild, spawnNode } from '../../support/child.ts';
import { captureLog } from '../../support/log-capture.ts';

const secret = 'hunter2hunter2';

test('a line is JSON with level, time, fields and message, and without host name or process id', (t) => {
  const { log, lines } = captureLog();
  log.info({ device: 'pump-7', count: 3 }, 'connected');
  const { time, ...rest } = lines[0]!;
  t.regex(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  t.deepEqual(rest, { level: 'info', device: 'pump-7', count: 3, msg: 'connected' });
});

test('lines below the level are not written', (t) => {
  const { log, lines } = captureLog('warn');
  log.info('no');
  log.warn('yes');
  t.deepEqual(
    lines.map(({ msg }) => msg),
    ['yes'],
  );
  t.notThrows(() => silentLog.fatal('nothing'));
});

for (const name of secretNames) {
  test(`a field called ${name} is redacted at every depth`, (t) => {
    const { log, text, lines } = captureLog();
    log.info({ [name]: secret });
    log.info({ a: { [name]: secret } });
    log.info({ a: { b: { c: { d: { [name]: { nested: secret } } } } } });
    log.info({ list: [{ [name]: secret }, [{ [name]: secret }]] });
    log.info({ headers: { [name.toUpperCase()]: secret } });
    log.child({ [name]: secret, a: { [name]: [secret] } }).info('child');
    log.error({ err: Object.assign(new Error('x'), { [name]: secret }) });
    log.error(
      Object.assign(new Error('x', { cause: { [name]: secret } }), { a: { [name]: secret } }),
    );
    log.error({ anything: Object.assign(new Error('x'), { [name]: secret }) });
    t.is(lines.length, 9);
    t.notRegex(text(), new RegExp(secret));
    t.is(text().match(/\[redacted\]/g)?.length, 11);
  });
}

test('private keys and bearer tokens are removed from any text', (t) => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
  const encrypted = privateKey.export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'x',
  });
  const sec1 = privateKey.export({ type: 'sec1', format: 'pem' });
  const { log, text } = captureLog();
  const bodies = [pem, encrypted, sec1].map((one) => one.split('\n')[1]!);
  for (const one of [pem, encrypted, sec1]) {
    log.info(`before ${one} after`);
    log.info({ note: one, more: 'kept' });
    log.error(new Error(one));
    log.info({ cut: one.slice(0, 90), kept: 'here' });
  }
  log.info({ request: `authorization: Bearer ${secret}` }, `sent bearer ${secret}`);
  log.info({ pem });
  for (const body of [...bodies, secret]) t.false(text().includes(body), body);
  t.regex(text(), /before \[redacted\]\\n after/);
  t.is(text().match(/"more":"kept"/g)?.length, 3);
  t.is(text().match(/"kept":"here"/g)?.length, 3);
});

test('binary data is logged as its length', (t) => {
  const { log, lines } = captureLog();
  log.info({ payload: Buffer.from(secret), deep: [{ raw: new Uint8Array(3) }] });
  t.like(lines[0], { payload: `[${secret.length} bytes]`, deep: [{ raw: '[3 bytes]' }] });
});

test('an error is logged with message, code and stack under any field name', (t) => {
  const { log, lines } = captureLog();
  const cause = new Error('the cause');
  log.error({ err: new FlotillaError('internal', { detail: 'here', cause }) }, 'failed');
  log.error({ why: new TypeError('plain') });
  const err = lines[0]!['err'] as Record<string, unknown>;
  t.is(err['code'], 'internal');
  t.regex(String(err['message']), /the cause/);
  t.regex(String(err['stack']), /log\.test\.ts/);
  t.like(lines[1]!['why'], { type: 'TypeError', message: 'plain' });
});

test('logging does not modify the logged objects', (t) => {
  const { log } = captureLog();
  const fields = { a: { token: secret }, list: [{ key: secret }] };
  log.info(fields);
  t.deepEqual(fields, { a: { token: secret }, list: [{ key: secret }] });
});

test('cyclic and very deep values can be logged', (t) => {
  const { log, lines } = captureLog();
  const circle: Record<string, unknown> = { name: 'circle' };
  circle['self'] = circle;
  t.notThrows(() => log.info({ circle, none: null, missing: undefined, big: 1n, at: new Date(0) }));
  t.like(lines[0], { none: null, at: '1970-01-01T00:00:00.000Z' });
});

test('a field with the name of a secret is never written, at any depth of any value', (t) => {
  const leaf = fc.constantFrom<unknown>(secret, 5, null, [secret], { deeper: secret });
  const name = fc.constantFrom('a', 'b', ...secretNames);
  const value = fc.letrec((tie) => ({
    node: fc.oneof(
      { maxDepth: 5 },
      fc.constantFrom<unknown>('fine', 1, null),
      fc.array(tie('node'), { maxLength: 3 }),
      fc.dictionary(name, tie('node'), { maxKeys: 3 }),
      fc.tuple(fc.constantFrom(...secretNames), leaf).map(([one, two]) => ({ [one]: two })),
    ),
  })).node;
  fc.assert(
    fc.property(value, (fields) => {
      const { log, text, lines } = captureLog();
      log.info({ fields });
      t.is(lines.length, 1);
      t.false(text().includes(secret));
    }),
  );
});

test('a process logs complete lines to stderr until it exits', async (t) => {
  const script = `
    import { createLog } from './core/log.ts';
    const log = createLog({ level: 'info' });
    for (let count = 0; count < 100; count++) log.info({ count }, 'line');
    process.exit(0);
  `;
  const done = await spawnNode(t, ['--input-type=module-typescript', '-e', script]).finished;
  t.is(done.stdout, '');
  t.is(done.stderr.trimEnd().split('\n').length, 100);
});

test('a log whose disk is full, or whose reader is gone, does not end the process', async (t) => {
  const script = `
    import { createLog } from ${JSON.stringify(new URL('../../../core/log.ts', import.meta.url).href)};
    const log = createLog({ level: 'info' });
    for (let count = 0; count < 2000; count++) log.info({ count, text: 'x'.repeat(100) }, 'line');
    setImmediate(() => {
      log.info('again');
      process.stdout.write('still here');
    });
  `;
  for (const target of ['2>/dev/full', '2>&-', '2> >(true)']) {
    const command = `exec "$0" --input-type=module-typescript -e "$1" ${target}`;
    const done = await runChild(t, 'bash', ['-c', command, process.execPath, script]);
    t.is(done.stdout, 'still here', target);
    t.is(done.code, 0, target);
  }
});

test('a log uses the given level', (t) => {
  t.is(createLog({ level: 'silent' }).level, 'silent');
});
