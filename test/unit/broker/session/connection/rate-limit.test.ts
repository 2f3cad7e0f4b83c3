/** Rate limits: what a client sends too fast is read later, and nothing is lost. */
import test from 'ava';
import { fakeClock } from '../../../../support/fake-clock.ts';
import { startWorld, TestAuthorizer } from '../../../../support/session-world.ts';
import { until } from '../../../../support/until.ts';

test('a client over its message rate is slowed down by pausing its socket: nothing is lost, other clients are not affected', async (t) => {
  const authorizer = new TestAuthorizer();
  authorizer.own = { ...authorizer.own, messagesPerSecond: 1000, messagesBurst: 50 };
  const clock = fakeClock();
  const world = await startWorld(t, { authorizer, clock });
  const sub = await world.connect({ clientId: 'sub' });
  await sub.subscribe('flood', 0);
  const pub = await world.connect({ clientId: 'pub' });
  for (let n = 0; n < 400; n++) pub.publish('flood', String(n));
  // The burst and one message above it: the rest is read later.
  await until('the burst', () => sub.packets.length === 51);
  t.is((await sub.received()).length, 51);
  let came = 51;
  for (let ms = 1; came < 400; ms++) {
    clock.advance(1);
    came += (await sub.received()).length;
    t.true(came <= 51 + ms, `${came} after ${ms} ms`);
  }
  clock.advance(1);
  await pub.settle();
  t.deepEqual(await sub.received(), []);
});

test('a client over its byte rate is slowed down too', async (t) => {
  const authorizer = new TestAuthorizer();
  authorizer.own = { ...authorizer.own, bytesPerSecond: 100_000, bytesBurst: 10_000 };
  const clock = fakeClock();
  const world = await startWorld(t, { authorizer, clock });
  const pub = await world.connect({ clientId: 'pub' });
  pub.publish('flood', Buffer.alloc(60_000), { qos: 1 });
  // The message was received; the socket is not read until the rate is met again.
  await pub.next('puback');
  pub.write('c000');
  const other = await world.connect({ clientId: 'other' });
  await other.settle();
  t.deepEqual(pub.packets, []);
  clock.advance(400);
  await other.settle();
  t.deepEqual(pub.packets, []);
  clock.advance(200);
  await pub.next('pingresp');
});
