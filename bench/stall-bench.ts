/**
 * The longest turn of the event loop for each packet that a device may send at the default limits, and for
 * the changes of policy and directory, in CPU time. No packet may block the event loop for more than 50 ms.
 *
 *     node bench/stall-bench.ts [words of the rows to run …]
 *
 * Exits with 1 if a turn takes longer. With garbage collection, repeated runs differ by a few ms.
 *
 * @module
 */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Packet } from 'mqtt-packet';
import { DirectoryFile } from '../broker/feed/directory-file.ts';
import { inspections } from './stall/inspections.ts';
import { longestTurnMs } from './stall/turn-probe.ts';
import {
  connectRequest,
  directoryEntry,
  StallWorld,
  until,
  type ConnectOptions,
  type StallClient,
} from './stall/stall-world.ts';

const limitMs = 50;
const [, , ...words] = process.argv;
const printLine = (line: string): void => void process.stdout.write(`${line}\n`);
const tooLong: string[] = [];

/**
 * Runs one row: `prepare` returns what is measured and when it is done.
 *
 * @param isLimited false for work at the start of the broker, before it has clients
 */
async function row(
  name: string,
  prepare: (world: StallWorld) => Promise<readonly [() => void, () => boolean]>,
  isLimited = true,
): Promise<void> {
  if (words.length > 0 && !words.some((word) => name.includes(word))) return;
  const world = await StallWorld.open();
  const [work, isDone] = await prepare(world);
  const ms = await longestTurnMs(work, isDone);
  if (isLimited && ms > limitMs) tooLong.push(name);
  printLine(`| ${name} | ${ms.toFixed(1)} |`);
  await world.close();
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);
const answered =
  (client: StallClient, before = client.wire.sentBytes) =>
  (): boolean =>
    client.wire.sentBytes > before;

const publish = (topic: string, payload: Buffer | string, more: object = {}): Packet => ({
  cmd: 'publish',
  topic,
  payload,
  qos: 0,
  retain: false,
  dup: false,
  ...more,
});

const subscribe = (filters: readonly string[], qos: 0 | 1 | 2 = 0): Packet => ({
  cmd: 'subscribe',
  messageId: 1,
  subscriptions: filters.map((topic) => ({ topic, qos })),
});

/** Leaves a kept session with a full queue of 10,000 messages, and returns how it can be resumed. */
async function fullQueue(world: StallWorld, options: ConnectOptions = {}): Promise<void> {
  const { clientId = 'd1' } = options;
  const client = await world.connect('d1', { ...options, clean: false });
  const topic = `devices/d1/commands/${clientId}`;
  client.send(subscribe([topic], 1));
  await world.committed();
  client.send({ cmd: 'disconnect', properties: { sessionExpiryInterval: 3600 } });
  const before = world.layer.statistics().queuedMessages;
  for (let n = 0; n < 10_000; n++) {
    void world.layer.publish({ topic, payload: Buffer.alloc(100), qos: 1, retain: false });
    if (n % 1000 === 0) await world.committed();
  }
  await world.committed();
  assert.equal(world.layer.statistics().queuedMessages, before + 10_000);
}

/** All filters that match `devices/{device}/r/0/0/0/{n}`, of which there are 94. */
function matchingFilters(device: string): string[] {
  const found: string[] = [];
  for (let length = 0; length <= 5; length++) {
    for (let bits = 0; bits < 2 ** length; bits++) {
      const levels = numbers(length).map((at) =>
        (bits >> at) % 2 === 1 || at === 4 ? '+' : at === 0 ? 'r' : '0',
      );
      found.push(['devices', device, ...levels, '#'].join('/'));
      if (length === 5) found.push(['devices', device, ...levels].join('/'));
    }
  }
  return [...new Set(found)];
}

/** Retains 10,000 messages of each of some devices: the share of an identity. */
async function retain(world: StallWorld, devices: number): Promise<void> {
  for (const device of numbers(devices)) {
    const client = await world.connect(`d${device}`);
    for (const n of numbers(10_000)) {
      client.send(publish(`devices/d${device}/r/0/0/0/${n}`, 'x', { retain: true }));
    }
    await world.committed();
  }
}

async function connectAll(world: StallWorld, count: number): Promise<StallClient[]> {
  const clients: StallClient[] = [];
  for (const n of numbers(count)) {
    const client = await world.connect(`d${n}`);
    client.send(subscribe([`devices/d${n}/commands/#`, `$fleet/certs/d${n}/+`]));
    clients.push(client);
  }
  return clients;
}

async function fillDirectory(world: StallWorld, count: number): Promise<void> {
  const { directory } = world;
  directory.apply({ type: 'hello', epoch: 'e', sequence: 1, graceMs: 0 });
  directory.apply({ type: 'snapshot-begin', sequence: 1 });
  for (const n of numbers(count)) {
    directory.apply({ type: 'entry', entry: directoryEntry(`d${n}`) });
  }
  directory.apply({ type: 'snapshot-end', sequence: 1 });
  await Promise.resolve();
}

printLine('| packet or change | longest turn, ms of CPU |\n|---|---:|');

await row('CONNECT with a will of 64 KB and all properties', async (world) => {
  const idle = await world.connect('d0');
  idle.send({ cmd: 'pingreq' });
  const client = world.client('d1');
  const properties = { sessionExpiryInterval: 3600, userProperties: { a: 'b'.repeat(5000) } };
  const will = {
    topic: 'devices/d1/will',
    payload: Buffer.alloc(60_000),
    qos: 1 as const,
    retain: true,
    properties: { willDelayInterval: 60 },
  };
  const packet = {
    ...connectRequest('d1', { version: 5, clean: false }),
    properties,
    will,
  } as Packet;
  return [() => client.send(packet), answered(client)];
});

await row('CONNECT that resumes a session with 10,000 queued messages', async (world) => {
  await fullQueue(world);
  const client = world.client('d1');
  const packet = connectRequest('d1', { version: 5, clean: false });
  return [() => client.send(packet), () => client.wire.sentBytes > 10_000];
});

await row('CONNECT that takes over a session with 10,000 queued messages', async (world) => {
  await fullQueue(world);
  const first = await world.connect('d1', { clean: false });
  await until(() => first.wire.sentBytes > 10_000);
  const client = world.client('d1');
  const packet = connectRequest('d1', { version: 5, clean: false });
  return [() => client.send(packet), () => client.wire.sentBytes > 10_000];
});

await row('CONNECT with Clean Start that deletes 10,000 queued messages', async (world) => {
  await fullQueue(world);
  const client = world.client('d1');
  const packet = connectRequest('d1', { version: 5, clean: true });
  return [() => client.send(packet), answered(client)];
});

await row('DISCONNECT that ends a session with 10,000 queued messages', async (world) => {
  await fullQueue(world);
  const client = await world.connect('d1', { clean: false });
  await until(() => client.wire.sentBytes > 10_000);
  const packet: Packet = { cmd: 'disconnect', properties: { sessionExpiryInterval: 0 } };
  return [() => client.send(packet), () => world.layer.sessions.get('d1') === undefined];
});

for (const qos of [0, 1, 2] as const) {
  await row(`PUBLISH of 1 MB, retained, QoS ${qos}`, async (world) => {
    const backend = await world.connect('backend', { role: 'service' });
    backend.send(subscribe(['devices/#'], qos));
    const client = await world.connect('d1');
    const packet = client.encode(
      publish('devices/d1/x', Buffer.alloc(1_048_000), { qos, retain: true, messageId: 7 }),
    );
    const isDone = answered(qos === 0 ? backend : client);
    return [() => client.wire.receive(packet), isDone];
  });
}

await row('64 KB of PUBLISH packets to 5 backends with stored sessions, QoS 1', async (world) => {
  for (const n of numbers(5)) {
    const backend = await world.connect(`b${n}`, { role: 'service', clean: false });
    backend.send(subscribe(['devices/#'], 1));
  }
  const client = await world.connect('d1', { version: 4 });
  const packets = numbers(2000).map((n) =>
    client.encode(publish('devices/d1/x', 'payload', { qos: 1, messageId: n + 1 })),
  );
  const chunk = Buffer.concat(packets).subarray(0, 64 * 1024);
  return [() => client.wire.receive(chunk), answered(client)];
});

await row('64 KB of retained PUBLISH packets on new topics of 32 levels', async (world) => {
  const client = await world.connect('d1');
  const levels = '/a'.repeat(28);
  const packets = numbers(800).map((n) =>
    client.encode(publish(`devices/d1/${n}${levels}`, 'x', { retain: true })),
  );
  const chunk = Buffer.concat(packets);
  return [() => client.wire.receive(chunk), () => world.layer.statistics().retained >= 800];
});

await row(
  'SUBSCRIBE of 63 filters that match 10,000 retained messages of the device',
  async (world) => {
    await retain(world, 1);
    const client = await world.connect('d0', { clientId: 'd0' });
    const filters = matchingFilters('d0');
    assert.ok(filters.length > 60);
    const packet = client.encode(subscribe(filters));
    const isDone = (): boolean => client.wire.sentBytes > filters.length * 10_000 * 20;
    return [() => client.wire.receive(packet), isDone];
  },
);

await row('SUBSCRIBE of a backend over 300,000 retained messages', async (world) => {
  await retain(world, 30);
  const client = await world.connect('backend', { role: 'service' });
  const packet = client.encode(subscribe(['devices/#', 'devices/+/r/#', 'devices/+/r/0/+/0/+']));
  return [() => client.wire.receive(packet), () => client.wire.sentBytes > 1_000_000];
});

for (const cmd of ['subscribe', 'unsubscribe'] as const) {
  await row(`${cmd.toUpperCase()} of 100 filters with 100,000 cached routes`, async (world) => {
    const client = await world.connect('d1');
    const filters = numbers(100).map((n) => `devices/d1/${n % 10}/+/${'+/'.repeat(n / 10)}#`);
    if (cmd === 'unsubscribe') client.send(subscribe(filters));
    for (const n of numbers(100_000)) client.send(publish(`devices/d1/${n % 10}/0/${n}`, 'x'));
    assert.equal(world.layer.statistics().retained, 0);
    const packet = client.encode(
      cmd === 'subscribe'
        ? subscribe(filters)
        : { cmd: 'unsubscribe', messageId: 2, unsubscriptions: filters },
    );
    return [() => client.wire.receive(packet), answered(client)];
  });
}

await row('64 KB of PINGREQ', async (world) => {
  const client = await world.connect('d1');
  const chunk = Buffer.from(numbers(32_768).flatMap(() => [0xc0, 0]));
  return [() => client.wire.receive(chunk), answered(client)];
});

await row('64 KB of PUBREL', async (world) => {
  const client = await world.connect('d1', { version: 4 });
  const chunk = Buffer.concat(
    numbers(16_384).map((n) => client.encode({ cmd: 'pubrel', messageId: n + 1 })),
  );
  return [() => client.wire.receive(chunk), answered(client)];
});

for (const cmd of ['puback', 'pubrec', 'pubcomp'] as const) {
  await row(`64 KB of ${cmd.toUpperCase()} for a queue of 10,000`, async (world) => {
    await fullQueue(world);
    const client = await world.connect('d1', { version: 4, clean: false });
    await until(() => client.wire.sentBytes > 10_000);
    const chunk = Buffer.concat(
      numbers(16_384).map((n) => client.encode({ cmd, messageId: (n % 200) + 1 })),
    );
    return [() => client.wire.receive(chunk), () => true];
  });
}

await row('a new policy for 5,000 connections with 2 subscriptions each', async (world) => {
  await connectAll(world, 5000);
  let isDone = false;
  return [() => void world.changePolicy('bench/#').then(() => (isDone = true)), () => isDone];
});

await row('a snapshot that revokes 2,000 of 5,000 connected devices', async (world) => {
  await connectAll(world, 5000);
  await fillDirectory(world, 5000);
  for (const n of numbers(2000)) {
    const entry = directoryEntry(`d${n}`, 'revoked');
    world.directory.apply({ type: 'change', sequence: n + 2, entry });
  }
  let isDone = false;
  return [() => void world.review.all().then(() => (isDone = true)), () => isDone];
});

await row('a device with 16 sessions and 160,000 queued messages is deleted', async (world) => {
  for (const n of numbers(16)) await fullQueue(world, { clientId: `d1/${n}`, role: 'test' });
  return [() => void world.layer.forget('d1'), () => world.layer.sessions.size === 0];
});

await row('the end of a snapshot of 300,000 identities, one of them deleted', async (world) => {
  await fillDirectory(world, 300_000);
  const { directory } = world;
  directory.apply({ type: 'snapshot-begin', sequence: 9 });
  for (const n of numbers(299_999)) {
    directory.apply({ type: 'entry', entry: directoryEntry(`d${n}`) });
  }
  let isDone = false;
  const end = async (): Promise<void> => {
    await directory.compareSnapshot();
    directory.apply({ type: 'snapshot-end', sequence: 9 });
    isDone = true;
  };
  return [() => void end(), () => isDone];
});

await row('a device with 10,000 of 300,000 retained messages is deleted', async (world) => {
  await retain(world, 30);
  let isDone = false;
  const forget = (): Promise<void> => world.layer.forget('d7', { withRetained: true });
  return [() => void forget().then(() => (isDone = true)), () => isDone];
});

for (const [name, ask] of inspections()) {
  await row(`an operator asks for ${name}`, async (world) => {
    await connectAll(world, 5000);
    await retain(world, 10);
    let isDone = false;
    return [() => void ask(world).then(() => (isDone = true)), () => isDone];
  });
}

for (const count of [1, 500]) {
  await row(`${count} PUBLISH of 100 bytes in one chunk, to 5,000 receivers`, async (world) => {
    const topic = 'devices/all/commands/x';
    await world.changePolicy(topic);
    for (const n of numbers(5000)) {
      const receiver = await world.connect(`d${n}`, { role: 'test' });
      receiver.send(subscribe([topic]));
    }
    const backend = await world.connect('backend', { role: 'service' });
    const one = backend.encode(publish(topic, Buffer.alloc(100)));
    const chunk = Buffer.concat(numbers(count).map(() => one));
    const before = world.layer.statistics().messagesOut[0];
    return [
      () => backend.wire.receive(chunk),
      () => world.layer.statistics().messagesOut[0] - before >= count * 5000,
    ];
  });
}

const folder = mkdtempSync(join(tmpdir(), 'stall-'));
const path = join(folder, 'directory.json');

await row('300,000 identities are written to the disk', async (world) => {
  await fillDirectory(world, 300_000);
  let isDone = false;
  const state = world.directory.state();
  return [
    () => void new DirectoryFile(path).writeSnapshot(state).then(() => (isDone = true)),
    () => isDone,
  ];
});

await row(
  '300,000 identities are read from the disk, at the start',
  async (world) => {
    if (!existsSync(path)) {
      await fillDirectory(world, 300_000);
      await new DirectoryFile(path).writeSnapshot(world.directory.state());
    }
    let size = 0;
    return [
      () => void new DirectoryFile(path).read().then((state) => (size = state?.entries.size ?? -1)),
      () => size === 300_000,
    ];
  },
  false,
);

rmSync(folder, { recursive: true });

process.exitCode = tooLong.length > 0 ? 1 : 0;
