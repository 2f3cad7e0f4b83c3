import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:tls';
import test from 'ava';
import { LightLink } from '../../device-sim/device/light-link.ts';
import {
  LinkError,
  type Link,
  type LinkEvents,
  type LinkOptions,
} from '../../device-sim/device/link.ts';
import { MqttJsLink } from '../../device-sim/device/mqttjs-link.ts';
import { dial, type DialOptions, type Failure } from '../../device-sim/device/dial.ts';
import { probeConnection } from '../../device-sim/device/probe.ts';
import { isFlotillaError } from '../../core/errors/flotilla-error.ts';
import {
  certificateFolder,
  hasMosquitto,
  startMosquitto,
  type TestBroker,
  type TestFolder,
} from '../support/sim-mosquitto.ts';

/** Both kinds of link must behave alike: the same tests for each, against another broker. */
const kinds = { mqttjs: MqttJsLink, light: LightLink } as const;
const versions = ['3.1.1', '5.0'] as const;

let folder: TestFolder;
let broker: TestBroker;
const identities = new Map<string, { key: string; chain: string }>();

const there = hasMosquitto() || process.env['FLOTILLA_TEST_NO_SKIP'] !== undefined;
const when = there ? test : test.skip;
if (!there)
  test('the tests of links are skipped because mosquitto is not installed', (t) => t.pass());

test.before(async () => {
  if (!there) return;
  folder = await certificateFolder([]);
  broker = await startMosquitto(folder);
});
test.after.always(async () => {
  if (!there) return;
  await broker.close();
  await folder.close();
});

async function dialAs(id: string): Promise<DialOptions> {
  let identity = identities.get(id);
  if (identity === undefined) identities.set(id, (identity = await folder.add(id)));
  return { host: broker.host, port: broker.port, ca: folder.ca, identity };
}

interface Seen {
  link: Link;
  messages: { topic: string; text: string; qos: number }[];
  closed: Failure[];
}

function open(
  kind: keyof typeof kinds,
  options: Partial<LinkOptions> & { clientId: string },
): Seen {
  const messages: Seen['messages'] = [];
  const closed: Failure[] = [];
  const events: LinkEvents = {
    message: (topic, payload, qos) => messages.push({ topic, text: payload.toString(), qos }),
    closed: (failure) => closed.push(failure),
  };
  const defaults = {
    mqtt: '3.1.1',
    kept: false,
    sessionExpirySeconds: 60,
    keepAliveSeconds: 30,
    connectTimeoutMs: 60_000,
  } as const;
  return { link: new kinds[kind]({ ...defaults, ...options }, events), messages, closed };
}

async function until(what: () => boolean): Promise<void> {
  for (let attempt = 0; attempt < 6000 && !what(); attempt++) {
    await new Promise((resolve) => {
      setTimeout(resolve, 10);
    });
  }
}

function publish(
  link: Link,
  topic: string,
  text: string,
  qos: 0 | 1 | 2,
): Promise<string | undefined> {
  return new Promise((resolve) => link.publish(topic, text, qos, false, resolve));
}

for (const kind of Object.keys(kinds) as (keyof typeof kinds)[]) {
  for (const mqtt of versions) {
    when(`${kind} over MQTT ${mqtt} publishes and receives at every QoS, in order`, async (t) => {
      const id = `io-${kind}-${mqtt}`;
      const { link, messages } = open(kind, { clientId: id, mqtt });
      const { timing, sessionPresent } = await link.connect(await dialAs(id));
      t.false(sessionPresent);
      t.true(timing.secureMs! > timing.tcpMs!);
      t.is(await link.subscribe(`devices/${id}/#`, 2), 2);
      const long = 'y'.repeat(40_000);
      for (const qos of [0, 1, 2] as const) {
        t.is(await publish(link, `devices/${id}/${qos}`, `ä ${qos}`, qos), undefined);
        t.is(await publish(link, `devices/${id}/${qos}`, long, qos), undefined);
      }
      await until(() => messages.length === 6);
      t.deepEqual(
        messages.map(({ topic, qos }) => `${topic} ${qos}`),
        [0, 0, 1, 1, 2, 2].map((qos) => `devices/${id}/${qos} ${qos}`),
      );
      t.is(messages[2]!.text, 'ä 1');
      t.is(messages[3]!.text, long);
      t.is(link.inflight, 0);
      await link.end();
      t.false(link.online);
    });

    when(
      `${kind} over MQTT ${mqtt} with a kept session receives queued messages and resends unacknowledged ones`,
      async (t) => {
        const id = `kept-${kind}-${mqtt}`;
        const { link, messages, closed } = open(kind, { clientId: id, mqtt, kept: true });
        const where = await dialAs(id);
        await link.connect(where);
        await link.subscribe(`devices/${id}/in`, 1);
        link.destroy();
        await until(() => closed.length === 1);
        t.false(link.online);
        const answers: (string | undefined)[] = [];
        link.publish(`devices/${id}/out`, 'while away', 1, false, (failure) =>
          answers.push(failure),
        );
        const other = open('light', { clientId: `observer-${id}` });
        await other.link.connect({ ...where, identity: await observerIdentity() });
        await other.link.subscribe(`devices/${id}/out`, 1);
        t.is(await publish(other.link, `devices/${id}/in`, 'waited', 1), undefined);
        const { sessionPresent } = await link.connect(where);
        t.true(sessionPresent);
        await until(
          () => messages.length === 1 && other.messages.length === 1 && answers.length === 1,
        );
        t.is(messages[0]?.text, 'waited');
        t.is(other.messages[0]?.text, 'while away');
        t.deepEqual(answers, [undefined]);
        await link.end();
        await other.link.end();
      },
    );
  }

  when(`${kind} reports a lost connection once, and fails the messages in flight`, async (t) => {
    const id = `cut-${kind}`;
    const { link, closed } = open(kind, { clientId: id });
    await link.connect(await dialAs(id));
    const answer = publish(link, `devices/${id}/x`, 'x', 1);
    link.destroy();
    t.truthy(await answer);
    await until(() => closed.length > 0);
    t.is(closed.length, 1);
    t.is(await publish(link, `devices/${id}/x`, 'x', 1), 'offline');
    await t.throwsAsync(() => link.subscribe('devices/x', 1), { instanceOf: LinkError });
    await link.connect(await dialAs(id));
    t.true(link.online);
    await link.end();
  });

  when(`${kind} gives the reason why a connection failed`, async (t) => {
    const where = await dialAs(`why-${kind}`);
    const reasonOf = async (options: DialOptions): Promise<string> => {
      const { link } = open(kind, { clientId: `why-${kind}` });
      const error = await t.throwsAsync(() => link.connect(options), { instanceOf: LinkError });
      return error.reason;
    };
    t.is(await reasonOf({ ...where, port: 1 }), 'tcp-refused');
    t.regex(await reasonOf({ ...where, identity: undefined }), /^tls-alert-certificate-required$/);
    const foreign = await certificateFolder(['thief']);
    t.teardown(() => foreign.close());
    t.is(await reasonOf({ ...where, ca: foreign.ca }), 'tls-untrusted');
    const stolen = await foreign.add('copy');
    t.regex(await reasonOf({ ...where, identity: stolen }), /^tls-alert-/);
  });

  when(`${kind} resumes a TLS session`, async (t) => {
    const id = `resume-${kind}`;
    let session: Buffer | undefined;
    const where = { ...(await dialAs(id)), onSession: (ticket: Buffer) => (session = ticket) };
    const first = open(kind, { clientId: id });
    t.false((await first.link.connect(where)).timing.resumed);
    await until(() => session !== undefined);
    await first.link.end();
    const again = open(kind, { clientId: id });
    t.true((await again.link.connect({ ...where, session })).timing.resumed);
    await again.link.end();
  });

  when(`${kind} keeps its connection alive with pings`, async (t) => {
    const id = `ping-${kind}`;
    const { link, closed } = open(kind, { clientId: id, keepAliveSeconds: 4 });
    await link.connect(await dialAs(id));
    // Without a PINGREQ the broker closes it after one and a half times the keep-alive [MQTT-3.1.2-24].
    await new Promise((resolve) => {
      setTimeout(resolve, 6500);
    });
    t.true(link.online);
    t.deepEqual(closed, []);
    await link.end();
  });
}

when('a probe accepts a good certificate and gives the reason for a bad one', async (t) => {
  const { identity, ...where } = await dialAs('probe');
  const options = { ...where, cert: identity!.chain, key: identity!.key, clientId: 'probe' };
  await t.notThrowsAsync(probeConnection(options));
  const refused = await t.throwsAsync(probeConnection({ ...options, port: 1 }));
  t.true(isFlotillaError(refused, 'sim-target-unreachable'));
  const foreign = await certificateFolder([]);
  t.teardown(() => foreign.close());
  const untrusted = await t.throwsAsync(probeConnection({ ...options, ca: foreign.ca }));
  t.true(isFlotillaError(untrusted, 'sim-target-untrusted'));
  const stolen = await foreign.add('stolen');
  const foreignOnes = await t.throwsAsync(
    probeConnection({ ...options, cert: stolen.chain, key: stolen.key }),
  );
  t.true(isFlotillaError(foreignOnes, 'sim-target-refused'));
});

async function observerIdentity(): Promise<{ key: string; chain: string }> {
  const key = await readFile(`${folder.folder}/observer/key.pem`, 'utf8');
  const chain = await readFile(`${folder.folder}/observer/chain.pem`, 'utf8');
  return { key, chain };
}

when(
  '640 devices of one process, many at once, each present their own leaf certificate and their issuers once',
  async (t) => {
    const own = await certificateFolder([]);
    t.teardown(() => own.close());
    const server = await own.add('peer', 'server');
    const sizes: number[] = [];
    const listener = createServer(
      { key: server.key, cert: server.chain, ca: own.ca, requestCert: true, maxVersion: 'TLSv1.2' },
      (socket) => {
        sizes.push(socket.bytesRead);
        socket.end(String(socket.getPeerCertificate().subject.CN));
      },
    );
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    t.teardown(() => listener.close());
    const { port } = listener.address() as AddressInfo;
    // The server answers with the name that it saw. A port does not identify a connection: it is used again.
    const one = async (name: string): Promise<string> => {
      const { key, chain } = own.issue(name, name.endsWith('0') ? 'ed25519' : 'p256');
      // A chain as an enrollment service returns it.
      const identity = { key, chain: `${chain}${own.ca}` };
      const { socket } = dial({ host: '127.0.0.1', port, ca: own.ca, identity });
      let seen = '';
      socket.on('data', (bytes: Buffer) => (seen += bytes.toString()));
      await once(socket, 'close');
      return seen;
    };
    const names = Array.from({ length: 640 }, (_item, index) => `leaf-${1000 + index}`);
    const presented: string[] = [];
    for (let first = 0; first < names.length; first += 32) {
      presented.push(...(await Promise.all(names.slice(first, first + 32).map(one))));
    }
    t.deepEqual(presented, names);
    t.is(sizes.length, 640);
    // Two kinds of keys differ by 150 bytes; an issuer that is sent twice adds 400.
    t.true(
      Math.max(...sizes) - Math.min(...sizes) < 300,
      `from ${Math.min(...sizes)} to ${Math.max(...sizes)}`,
    );
  },
);
