/**
 * Helpers for tests of session queues.
 *
 * @module
 */
import type { RawClient, World } from './session-world.ts';
import { until } from './until.ts';

/** Subscribes a kept session and cuts its connection: matching messages are queued from now on. */
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

/** Publishes messages to `q` at QoS 1 (default payloads: `0`, `1`, …). Resolves when all are acknowledged. */
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

/** The payloads as text of the messages that were received and not taken yet. */
export async function payloadsOf(client: RawClient): Promise<string[]> {
  return (await client.received()).map(({ payload }) => String(payload));
}
