/**
 * Sessions whose messages wait, and what fills their queues.
 *
 * @module
 */
import type { RawClient, World } from './session-world.ts';
import { until } from './until.ts';

/** Subscribes a kept session and cuts its connection: what matches waits from now on. */
export async function leaveKept(
  world: World,
  clientId: string,
  filter: string,
  qos: 0 | 1 | 2,
): Promise<void> {
  const gone = world.count('disconnected');
  const client = await world.connect({ clientId, clean: false });
  await client.subscribe(filter, qos);
  await client.cut();
  await until('released', () => world.count('disconnected') === gone + 1);
}

/** Publishes so many to `q` at QoS 1, `0`, `1`, … if not told else; resolves when all are acknowledged. */
export async function publishMany(
  world: World,
  count: number,
  payload: (n: number) => string | Buffer = String,
): Promise<RawClient> {
  const pub = await world.connect({ clientId: 'pub' });
  for (let n = 0; n < count; n++) pub.publish('q', payload(n), { qos: 1 });
  await until('acknowledged', () => pub.packets.length === count);
  return pub;
}

/** The payloads that have come and were not taken yet, as text. */
export async function payloadsOf(client: RawClient): Promise<string[]> {
  return (await client.received()).map(({ payload }) => String(payload));
}
