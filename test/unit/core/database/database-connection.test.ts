import test, { type ExecutionContext } from 'ava';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { TLSSocket } from 'node:tls';
import { parseDatabaseUrl } from '../../../../core/config/database-url.ts';
import { isFlotillaError } from '../../../../core/errors/flotilla-error.ts';
import { DatabaseConnection } from '../../../../core/database/database-connection.ts';
import { passwordIn } from '../../../../core/database/password-file.ts';
import { loadPg } from '../../../../core/database/pg-library.ts';
import { testCa } from '../../../support/test-ca.ts';

/** Answers as a server of PostgreSQL up to the first encrypted byte. */
async function tlsServer(t: ExecutionContext): Promise<{ port: number; received: () => number }> {
  const { key, cert } = ca.issue({ profile: 'server', commonName: 'db', names: ['localhost'] });
  let received = 0;
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.write('S');
      const secure = new TLSSocket(socket, { isServer: true, key, cert });
      secure.on('error', () => undefined);
      secure.on('data', (chunk: Buffer) => {
        received += chunk.length;
        secure.destroy();
      });
    });
  });
  server.listen(0, 'localhost');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const address = server.address();
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  return { port, received: () => received };
}

const ca = testCa();

for (const [host, mode, isTrusted] of [
  ['localhost', 'verify-full', true],
  ['127.0.0.1', 'verify-full', false],
  ['127.0.0.1', 'verify-ca', true],
] as const) {
  test(`the certificate of a database at ${host} is ${isTrusted ? 'accepted' : 'refused'} with ${mode}`, async (t) => {
    t.timeout(90_000);
    if ((await loadPg().catch(() => undefined)) === undefined) {
      t.log(`SKIPPED ${t.title}: the optional npm package pg is missing`);
      t.pass();
      return;
    }
    const { port, received } = await tlsServer(t);
    const address = parseDatabaseUrl(`postgres://x@${host}:${port}/x?sslmode=${mode}`);
    const access = { address, password: 'secret', ca: ca.ca };
    const error = await t.throwsAsync(DatabaseConnection.open(access, 'test'));
    t.true(isFlotillaError(error, 'database-unreachable'));
    t.is(received() > 0, isTrusted, error.message);
  });
}

test('the password of PGPASSFILE is that of the first line that matches', (t) => {
  const text =
    '# db\nother:*:*:*:no\ndb1:5432:fleet:me:a\\:b\\\\c\n*:*:*:me:any\nlocalhost:*:*:*:here\n';
  const login = { host: 'db1', port: 5432, database: 'fleet', user: 'me' };
  t.is(passwordIn(text, login), 'a:b\\c');
  t.is(passwordIn(text, { ...login, port: 1 }), 'any');
  t.is(passwordIn(text, { ...login, host: '/run', user: 'you' }), 'here');
  t.is(passwordIn(text, { ...login, user: 'you' }), undefined);
  t.is(passwordIn('', login), undefined);
});

test('the URL of a database names hosts, user and TLS, and never a password', (t) => {
  t.deepEqual(parseDatabaseUrl('postgres://me@db1,db2:6000,[::1]:7/fleet'), {
    hosts: [
      { host: 'db1', port: 5432 },
      { host: 'db2', port: 6000 },
      { host: '::1', port: 7 },
    ],
    ...{ user: 'me', database: 'fleet', tls: 'verify-full' },
  });
  t.deepEqual(parseDatabaseUrl('postgresql:///fleet?host=/run/postgresql'), {
    hosts: [{ host: '/run/postgresql', port: 5432 }],
    ...{ user: undefined, database: 'fleet', tls: 'disable' },
  });
  for (const wrong of [
    ...['postgres://me:secret@db/fleet', 'postgres://db', 'mysql://db/fleet', 'postgres:///fleet'],
    ...['postgres://db/fleet?sslmode=prefer', 'postgres://db/fleet?password=secret'],
    ...['postgres://db:99999/fleet', 'postgres://db/fleet?host=/run'],
  ]) {
    const error = t.throws(() => parseDatabaseUrl(wrong), undefined, wrong);
    t.notRegex(error.message, /secret/);
  }
});
