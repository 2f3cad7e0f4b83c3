import { connect as connectTcp, createServer } from 'node:net';
import { connect as connectTls } from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import { certificatesIn } from '../../../../broker/certificates/broker-certificate.ts';
import { NodeTransport } from '../../../../broker/cluster/node-transport.ts';
import { nodeProtocol, type NodeMaterial } from '../../../../broker/cluster/node-material.ts';
import type { TlsFacts } from '../../../../broker/admission/admission.ts';
import { systemClock, type Clock } from '../../../../core/clock.ts';
import { fakeClock } from '../../../support/fake-clock.ts';
import { captureLog, type LogCapture } from '../../../support/log-capture.ts';
import { WireUser } from '../../../support/mux-world.ts';
import { testCa, type TestCa, type TestIdentity } from '../../../support/test-ca.ts';
import { until } from '../../../support/until.ts';

const ca = testCa();

interface TestNode {
  readonly transport: NodeTransport;
  readonly capture: LogCapture;
  readonly opened: { request: unknown; user: WireUser; from: string }[];
  /** The names that it admits. */
  readonly admitted: Set<string>;
  material: NodeMaterial;
  address: string;
  port: number;
}

interface NodeOptions {
  readonly authority?: TestCa;
  readonly identity?: TestIdentity;
  readonly clock?: Clock;
  readonly streamsMax?: number;
  readonly connectTimeoutMs?: number;
  readonly port?: number;
}

function materialOf({ key, cert }: TestIdentity, authority = ca): NodeMaterial {
  return { key, chain: cert, authorities: certificatesIn(authority.ca) };
}

async function node(
  t: ExecutionContext,
  name: string,
  options: NodeOptions = {},
): Promise<TestNode> {
  const { authority = ca, clock = systemClock, streamsMax = 20_000 } = options;
  const identity = options.identity ?? authority.issue({ profile: 'broker', commonName: name });
  const capture = captureLog('debug');
  const found: TestNode = {
    capture,
    opened: [],
    admitted: new Set(['node-1', 'node-2', 'node-3']),
    material: materialOf(identity, authority),
    address: '',
    port: 0,
    transport: new NodeTransport({
      material: () => found.material,
      name,
      admits: ({ certificate }: TlsFacts) =>
        certificate?.commonName.ok === true &&
        certificate.issuer() !== undefined &&
        found.admitted.has(certificate.commonName.id)
          ? certificate.commonName.id
          : undefined,
      clock,
      log: capture.log,
      streamsMax,
      connectTimeoutMs: options.connectTimeoutMs ?? 60_000,
    }),
  };
  found.transport.onStream((request, wire, from) => {
    found.opened.push({ request, user: new WireUser(wire), from });
  });
  const { host, port } = await found.transport.listen('127.0.0.1', options.port ?? 0);
  found.address = `${host}:${port}`;
  found.port = port;
  t.teardown(() => found.transport.close());
  return found;
}

function open(from: TestNode, to: TestNode, name: string | undefined, request = {}): WireUser {
  return new WireUser(from.transport.open(to.address, name, request));
}

/** The reasons of refused or failed connections in the log. */
function reasons({ capture }: TestNode): unknown[] {
  return capture.lines.map(({ reason }) => reason).filter((reason) => reason !== undefined);
}

test('two nodes exchange bytes in both directions, and what was sent before the handshake arrives', async (t) => {
  const [one, two] = [await node(t, 'node-1'), await node(t, 'node-2')];
  const there = open(one, two, 'node-2', { kind: 'greeting' });
  there.send('hello');
  await until('it arrived', () => two.opened[0]?.user.text === 'hello');
  const { request, user, from } = two.opened[0]!;
  t.deepEqual([request, from], [{ kind: 'greeting' }, 'node-1']);
  user.send('welcome');
  user.wire.end();
  await until('the answer arrived', () => there.text === 'welcome' && there.closed === 1);
  const back = open(two, one, undefined);
  back.send('and back');
  await until('it arrived', () => one.opened[0]?.user.text === 'and back');
});

test('thousands of streams share one connection', async (t) => {
  const [one, two] = [await node(t, 'node-1'), await node(t, 'node-2')];
  const users = Array.from({ length: 5000 }, (_, n) => {
    const user = open(one, two, 'node-2', { n });
    user.send(`device ${n}`);
    return user;
  });
  await until('all arrived', () => {
    return two.opened.length === 5000 && two.opened.every(({ user }) => user.bytes > 0);
  });
  t.true(
    two.opened.every(({ request, user }) => user.text === `device ${(request as { n: number }).n}`),
  );
  t.is(two.capture.lines.filter(({ msg }) => msg === 'a node connected').length, 1);
  for (const { user } of two.opened) user.send('x');
  await until('all answered', () => users.every(({ text }) => text === 'x'));
  await two.transport.close();
  await until('all are closed', () => users.every(({ closed }) => closed === 1));
});

test('a node that the directory does not admit gets no stream, at either end', async (t) => {
  const [one, two] = [await node(t, 'node-1'), await node(t, 'node-2')];
  two.admitted.delete('node-1');
  const refused = open(one, two, 'node-2');
  await until('it is closed', () => refused.closed === 1);
  t.is(two.opened.length, 0);
  t.true(reasons(two).includes('not admitted: node-1'));

  const three = await node(t, 'node-3');
  three.admitted.delete('node-2');
  const unwanted = open(three, two, undefined);
  await until('it is closed', () => unwanted.closed === 1);
  t.is(two.opened.length, 0);
  t.true(reasons(three).includes('not admitted: node-2'));
});

test('a node with another name than expected gets no stream', async (t) => {
  const [one, two] = [await node(t, 'node-1'), await node(t, 'node-2')];
  const user = open(one, two, 'node-3');
  user.send('secret');
  await until('it is closed', () => user.closed === 1);
  t.is(two.opened.length, 0);
  t.deepEqual(reasons(one), ['the node is node-2, not node-3']);
});

test('certificates of another CA are refused, at either end', async (t) => {
  const one = await node(t, 'node-1');
  const foreign = await node(t, 'node-2', { authority: testCa('Foreign') });
  const there = open(one, foreign, 'node-2');
  await until('it is closed', () => there.closed === 1);
  const here = open(foreign, one, 'node-1');
  await until('it is closed', () => here.closed === 1);
  // The foreign node trusts the CA of the fleet, but is not trusted.
  foreign.material = { ...foreign.material, authorities: certificatesIn(ca.ca) };
  const again = new WireUser(foreign.transport.open(one.address, undefined, {}));
  await until('it is closed', () => again.closed === 1);
  t.is(one.opened.length + foreign.opened.length, 0);
  t.true(reasons(one).length >= 2);
});

test('the certificate of a device cannot pose as a node', async (t) => {
  const one = await node(t, 'node-1');
  const device = ca.issue({ profile: 'device', commonName: 'node-2' });
  const two = await node(t, 'node-2', { identity: device });
  const user = open(one, two, 'node-2');
  await until('it is closed', () => user.closed === 1);
  t.is(two.opened.length, 0);
  t.regex(String(reasons(one)[0]), /purpose/);
});

test('a connection with TLS 1.2, without a certificate, or with another protocol is refused', async (t) => {
  const one = await node(t, 'node-1');
  const { key, chain } = one.material;
  const options = {
    host: '127.0.0.1',
    port: one.port,
    ca: ca.ca,
    checkServerIdentity: () => undefined,
  };
  const refused = (more: object): Promise<void> =>
    new Promise((resolve) => {
      const socket = connectTls({ ...options, ...more });
      socket.on('error', () => undefined);
      socket.on('close', () => resolve());
      socket.resume();
    });
  await refused({ key, cert: chain, ALPNProtocols: [nodeProtocol], maxVersion: 'TLSv1.2' });
  await refused({ ALPNProtocols: [nodeProtocol] });
  await refused({ key, cert: chain, ALPNProtocols: ['mqtt'] });
  await refused({ key, cert: chain });
  await until('all are logged', () => one.capture.lines.length >= 4);
  t.false(one.capture.lines.some(({ msg }) => msg === 'a node connected'));
});

test('after a change of the directory or the CAs, review closes the connections that are not admitted any more', async (t) => {
  const [one, two] = [await node(t, 'node-1'), await node(t, 'node-2')];
  const revoked = open(one, two, 'node-2');
  await until('it is open', () => two.opened.length === 1);
  two.transport.review();
  one.transport.review();
  revoked.send('still here');
  await until('it still works', () => two.opened[0]!.user.text === 'still here');
  two.admitted.delete('node-1');
  two.transport.review();
  await until('it is closed at both ends', () => {
    return revoked.closed === 1 && two.opened[0]!.user.closed === 1;
  });
  two.admitted.add('node-1');

  const three = await node(t, 'node-3');
  const withdrawn = open(three, two, 'node-2');
  await until('it is open', () => two.opened.length === 2);
  three.material = { ...three.material, authorities: certificatesIn(testCa('Next').ca) };
  three.transport.review();
  await until('it is closed', () => withdrawn.closed === 1);
  t.is(two.opened[1]!.from, 'node-3');
});

test('other certificates are shown to new connections, and live ones continue', async (t) => {
  const [one, two] = [await node(t, 'node-1'), await node(t, 'node-2')];
  const live = open(one, two, 'node-2');
  await until('it is open', () => two.opened.length === 1);
  const renewed = ca.issue({ profile: 'broker', commonName: 'node-3' });
  two.material = materialOf(renewed);
  two.transport.reload();
  live.send('still here');
  await until('it works', () => two.opened[0]!.user.text === 'still here');
  const next = open(one, two, 'node-3');
  next.send('new');
  await until('the new name is shown', () => two.opened[1]?.user.text === 'new');
  t.is(live.closed, 0);
});

test('a node that cannot be reached is not tried again at once, and streams to it are closed immediately', async (t) => {
  const clock = fakeClock();
  const one = await node(t, 'node-1', { clock });
  const gone = await node(t, 'node-2');
  const { port } = gone;
  await gone.transport.close();
  const attempts = (): number =>
    one.capture.lines.filter(({ msg }) => msg === 'cannot connect to a node').length;
  const first = open(one, gone, 'node-2');
  await until('it is closed', () => first.closed === 1);
  t.is(attempts(), 1);
  const many = Array.from({ length: 3000 }, () => open(one, gone, 'node-2'));
  await new Promise(setImmediate);
  t.true(many.every(({ closed, wire }) => closed === 1 && !wire.isOpen));
  t.is(attempts(), 1);
  for (const waitMs of [100, 200, 400, 800, 1600, 2000, 2000]) {
    clock.advance(waitMs - 1);
    const early = open(one, gone, 'node-2');
    await until('it is closed', () => early.closed === 1);
    clock.advance(1);
    const before = attempts();
    const due = open(one, gone, 'node-2');
    await until('it is closed', () => due.closed === 1);
    t.is(attempts(), before + 1);
  }
  clock.advance(2000);
  const back = await node(t, 'node-2', { port });
  const found = open(one, back, 'node-2');
  found.send('back');
  await until('it is reached again', () => back.opened[0]?.user.text === 'back');
  clock.advance(1500);
  await back.transport.close();
  await until('the connection is lost', () => found.closed === 1);
  const again = await node(t, 'node-2', { port });
  const next = open(one, again, 'node-2');
  next.send('at once');
  await until('it is reached at once', () => again.opened[0]?.user.text === 'at once');
});

test('a node that accepts connections and does not answer is given up after the time for a handshake', async (t) => {
  const clock = fakeClock();
  const silent = createServer(() => undefined);
  await new Promise<void>((resolve) => void silent.listen(0, '127.0.0.1', resolve));
  t.teardown(() => silent.close());
  const address = silent.address();
  const one = await node(t, 'node-1', { clock, connectTimeoutMs: 3000 });
  const port = typeof address === 'object' ? address?.port : 0;
  const user = new WireUser(one.transport.open(`127.0.0.1:${port}`, undefined, {}));
  clock.advance(2999);
  t.is(user.closed, 0);
  clock.advance(1);
  await until('it is closed', () => user.closed === 1);
  t.deepEqual(reasons(one), ['no connection in time']);

  const raw = connectTcp({ host: '127.0.0.1', port: one.port });
  raw.on('error', () => undefined);
  await new Promise((resolve) => raw.once('connect', resolve));
  await until('the node closes a silent client', () => {
    clock.advance(3000);
    return raw.destroyed || raw.resume().readableEnded;
  });
});

test('addresses that are not valid close the stream', async (t) => {
  const one = await node(t, 'node-1');
  for (const address of ['', 'x', '127.0.0.1:99999', '[::1]:', '127.0.0.1:-1']) {
    const user = new WireUser(one.transport.open(address, undefined, {}));
    await until(`${address} is closed`, () => user.closed === 1);
  }
  const many = Array.from(
    { length: 1100 },
    (_, n) => new WireUser(one.transport.open(`127.0.0.1:${70_000 + n}`, undefined, {})),
  );
  await until('all are closed', () => many.every(({ closed }) => closed === 1));
  t.throws(() => one.transport.open(one.address, undefined, { text: 'x'.repeat(20_000) }), {
    instanceOf: RangeError,
  });
});

test('after close nothing is opened, and a handler that fails closes its stream only', async (t) => {
  const [one, two] = [await node(t, 'node-1'), await node(t, 'node-2')];
  two.transport.onStream((request, wire, from) => {
    if ('fail' in (request as object)) throw new Error('cannot handle it');
    two.opened.push({ request, user: new WireUser(wire), from });
  });
  const failed = open(one, two, 'node-2', { fail: true });
  const live = open(one, two, 'node-2');
  await until('one is closed', () => failed.closed === 1 && two.opened.length === 1);
  t.is(live.closed, 0);
  live.send('last words');
  await one.transport.close();
  await until('what was sent arrived', () => two.opened[0]!.user.text === 'last words');
  const late = open(one, two, 'node-2');
  await until('it is closed', () => late.closed === 1);
});
