/** Processes of a cluster, with small programs in place of the services. @module */
import test, { type ExecutionContext } from 'ava';
import { ClusterNode } from '../../../../cli/cluster/cluster-node.ts';
import { createLog } from '../../../../core/log.ts';
import { until } from '../../../support/until.ts';

const ready = `console.log(JSON.stringify({ event: 'ready', metrics: { url: 'http://127.0.0.1:1' } }));`;
const stay = 'setInterval(() => {}, 1000);';

function nodeOf(t: ExecutionContext, script: string): { node: ClusterNode; active: string[] } {
  const active: string[] = [];
  const node = new ClusterNode(
    { name: 'broker-1', folder: 'state', kind: 'broker', args: ['-e', script], env: {} },
    {
      log: createLog({ level: 'silent' }),
      logLine: () => undefined,
      changed: () => undefined,
      becameActive: ({ name }) => active.push(name),
    },
  );
  t.teardown(() => node.stop());
  return { node, active };
}

test('a process that dies is started again, and has no addresses meanwhile', async (t) => {
  const { node, active } = nodeOf(t, ready + stay);
  await node.start();
  const { pid } = node.view;
  t.is(node.view.role, 'active');
  t.deepEqual(node.target('metrics'), { host: '127.0.0.1', port: 1 });
  process.kill(pid ?? 0, 'SIGKILL');
  await until('its addresses are gone', () => node.ready === undefined);
  await until('it is active again', () => node.ready !== undefined);
  t.not(node.view.pid, pid);
  t.deepEqual(active, ['broker-1', 'broker-1']);
});

test('a process that hung when another one took over has no addresses any more', async (t) => {
  const { node } = nodeOf(t, ready + stay);
  await node.start();
  node.replaced();
  t.is(node.view.role, 'replaced');
  t.is(node.target('metrics'), undefined);
});

test('a standby is not replaced', async (t) => {
  const { node } = nodeOf(t, `console.error('standby: other is active');${stay}`);
  await node.start();
  node.replaced();
  t.is(node.view.role, 'standby');
});

test('a process that ends at its first start is reported with its last message', async (t) => {
  const { node } = nodeOf(t, `console.error('no key'); process.exit(1);`);
  const error = await t.throwsAsync(() => node.start(), { message: /state: code 1: no key/ });
  t.like(error, { code: 'cluster-node-failed' });
});

test('an active process that does not answer is silent until it answers again', async (t) => {
  const { node } = nodeOf(t, ready + stay);
  await node.start();
  node.answers(true);
  t.is(node.view.role, 'active');
  node.answers(false);
  t.is(node.view.role, 'silent');
  t.deepEqual(node.target('metrics'), { host: '127.0.0.1', port: 1 });
  node.answers(true);
  t.is(node.view.role, 'active');
});

test('a standby that does not answer stays a standby', async (t) => {
  const { node } = nodeOf(t, `console.error('standby: other is active');${stay}`);
  await node.start();
  node.answers(false);
  t.is(node.view.role, 'standby');
});
