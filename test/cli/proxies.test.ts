/** The list of load balancers, `proxies`, is replaced by SIGHUP without a restart. @module */
import { writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import { startUpWith } from '../support/cli.ts';
import { until } from '../support/until.ts';

const header = 'PROXY TCP4 203.0.113.9 127.0.0.1 40000 8883\r\n';

/** Whether a TLS handshake on a port succeeds, after a header of the PROXY protocol or without one. */
function isAccepted(t: ExecutionContext, port: number, before: string): Promise<boolean> {
  return new Promise((resolve) => {
    const raw: Socket = connect(port, '127.0.0.1', () => {
      if (before !== '') raw.write(before);
      // Only the handshake counts: admission comes later.
      const socket = connectTls({ socket: raw, rejectUnauthorized: false }, () => resolve(true));
      socket.on('error', () => resolve(false));
      socket.on('close', () => resolve(false));
    });
    raw.on('error', () => resolve(false));
    raw.on('close', () => resolve(false));
    t.teardown(() => raw.destroy());
  });
}

for (const [fronts, where] of [
  ['0', 'in the thread of the sessions'],
  ['1', 'in a thread of its own'],
] as const) {
  test(`SIGHUP replaces the list of load balancers in both services, with TLS ${where}`, async (t) => {
    const up = await startUpWith({ FLOTILLA_BROKER__FRONTS: fronts }, '--log-level', 'info');
    t.teardown(() => up.close());
    const ports = [
      up.ready.mqtts.port,
      up.ready.wss.port,
      Number(new URL(up.ready.https.url).port),
    ];
    const accepted = (before: string): Promise<boolean[]> =>
      Promise.all(ports.map((port) => isAccepted(t, port, before)));
    t.deepEqual(await accepted(''), [true, true, true]);
    t.deepEqual(await accepted(header), [false, false, false], 'a header of anybody is refused');
    writeFileSync(join(up.ready.state, 'flotilla.yaml'), 'proxies: [127.0.0.0/8]\n');
    up.child.process.kill('SIGHUP');
    await until('the balancer may send its header', async () =>
      (await accepted(header)).every(Boolean),
    );
    t.deepEqual(await accepted(''), [false, false, false], 'and has to');
    await up.child.errorLine((line) => /in force/.test(line) && /proxies/.test(line), 60_000);
    writeFileSync(join(up.ready.state, 'flotilla.yaml'), 'proxies: []\n');
    up.child.process.kill('SIGHUP');
    await until('connections without a header are accepted', async () =>
      (await accepted('')).every(Boolean),
    );
    t.deepEqual(await accepted(header), [false, false, false]);
  });
}
