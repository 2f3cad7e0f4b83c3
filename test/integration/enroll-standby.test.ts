/**
 * Two instances of the enrollment service on one PostgreSQL database, as programs that are killed.
 *
 * @module
 */
import { readFile, rm, writeFile } from 'node:fs/promises';
import test, { type ExecutionContext } from 'ava';
import { issuedSchema, tokenBatchSchema, type Issued } from '../../core/protocol/enrollment-api.ts';
import { callHttps, callJson } from '../../core/protocol/https-client.ts';
import { identityFiles, type StateFolder } from '../../core/state-folder.ts';
import { flotilla } from '../support/cli.ts';
import {
  brokerConnected,
  frontPort,
  newState,
  startBroker,
  startOn,
  type Instance,
} from '../support/enroll-instances.ts';
import { csrOf } from '../support/enroll-service.ts';
import {
  postgresServer,
  skipsWithoutServer,
  type PostgresServer,
} from '../support/postgres-server.ts';
import { until } from '../support/until.ts';

const limitMs = 240_000;

let server: PostgresServer | undefined;
test.before(async (t) => {
  t.timeout(limitMs);
  server = await postgresServer();
});
test.after.always(() => server?.close());

interface Revoked {
  readonly brokers: number;
  readonly brokersLate: number;
}

interface Fleet {
  readonly ids: readonly string[];
  /** The certificates that were acknowledged. */
  readonly acknowledged: Map<string, Issued>;
  /** The devices whose revocation was acknowledged. */
  readonly revoked: Set<string>;
  readonly enroll: (id: string) => Promise<Issued>;
  readonly revoke: (id: string) => Promise<Revoked>;
  readonly show: (id: string) => Promise<{ status: string; serials: string[] }>;
  /** Where the calls go. */
  url: string;
}

async function newFleet({ state, ready }: Instance, count: number): Promise<Fleet> {
  const files = identityFiles(state.admin);
  const first = await ready;
  const [ca = '', cert = '', key = ''] = await Promise.all(
    [files.ca, files.chain, files.key].map((path) => readFile(path, 'utf8')),
  );
  const admin = { ca, cert, key };
  const ids = Array.from({ length: count }, (_none, at) => `k${at}`);
  const batch = `${first.https.url}/v1/tokens/batch`;
  const { tokens } = await callJson(
    { method: 'POST', url: batch, ...admin, body: { devices: ids } },
    tokenBatchSchema,
  );
  const requests = new Map(
    tokens.map(({ device, token }) => [device as string, { token, csr: csrOf(device).pem }]),
  );
  const fleet: Fleet = {
    ids,
    acknowledged: new Map(),
    revoked: new Set(),
    url: first.https.url,
    async enroll(id) {
      const { token = '', csr = '' } = requests.get(id) ?? {};
      const body = { device: id, csr };
      const call = {
        method: 'POST',
        url: `${fleet.url}/v1/enroll`,
        ca,
        bearer: token,
        body,
      } as const;
      const issued = issuedSchema.parse(JSON.parse((await callHttps(call)).body.toString()));
      fleet.acknowledged.set(id, issued);
      return issued;
    },
    async revoke(id) {
      const url = `${fleet.url}/v1/devices/${id}/revoke`;
      const { status, body } = await callHttps({ method: 'POST', url, ...admin, body: {} });
      if (status !== 200) throw new Error(`revoke: ${status}`);
      fleet.revoked.add(id);
      const { brokers, brokersLate } = JSON.parse(body.toString()) as Revoked;
      return { brokers, brokersLate };
    },
    async show(id) {
      const url = `${fleet.url}/v1/devices/${id}`;
      const { body } = await callHttps({ method: 'GET', url, ...admin });
      const shown = JSON.parse(body.toString()) as {
        status: string;
        certificates?: { serial: string }[];
      };
      // A device that has not enrolled is not known.
      const { status, certificates = [] } = shown;
      return { status, serials: certificates.map(({ serial }) => serial) };
    },
  };
  return fleet;
}

/** Eight devices at a time; each second one is revoked. `each` is called after every acknowledged enrollment. */
async function load(fleet: Fleet, again: boolean, each: () => void): Promise<void> {
  const queue = [...fleet.ids];
  const worker = async (): Promise<void> => {
    for (let id = queue.shift(); id !== undefined; id = queue.shift()) {
      try {
        if (!fleet.acknowledged.has(id)) {
          await fleet.enroll(id);
          each();
        }
        if (Number(id.slice(1)) % 2 === 0 && !fleet.revoked.has(id)) await fleet.revoke(id);
      } catch {
        if (again) queue.push(id);
      }
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
}

async function assertComplete(t: ExecutionContext, fleet: Fleet): Promise<void> {
  for (const [id, { serial }] of fleet.acknowledged) {
    const shown = await fleet.show(id);
    t.deepEqual(shown.serials, [serial], id);
    if (fleet.revoked.has(id)) t.is(shown.status, 'revoked', id);
  }
}

interface Verdict {
  readonly ok: boolean;
  readonly lines: number;
  readonly detail: string;
}

async function verified(state: StateFolder): Promise<Verdict> {
  const result = await flotilla(['audit', 'verify', '--state', state.root, '--json']);
  return result.json() as Verdict;
}

test('after a kill -9 of the active instance under load the standby has everything that was acknowledged', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const url = await database.database();
  const first = startOn(t, await newState(t, url));
  const fleet = await newFleet(first, 60);
  const front = await frontPort(t, (await first.ready).https.url);
  const { child: broker } = await startBroker(t, first.state, front.url);
  await brokerConnected(first);
  const second = startOn(t, await newState(t, url, first.state));
  const reported = await second.child.errorLine((line) => line.includes('reports its health'));
  const { url: health } = JSON.parse(reported) as { url: string };
  const response = await fetch(`${health}/readyz`);
  t.is(response.status, 503);
  t.regex(await response.text(), /standby: .+ is active/);
  t.is((await fetch(`${health}/healthz`)).status, 200);

  // While one is active, the commands on the other's state folder change nothing.
  const refused = await flotilla(['init', '--state', (await newState(t, url, first.state)).root]);
  t.is(refused.code, 1);
  t.regex(refused.stderr, /\[database-in-use\]|database-in-use/);

  let count = 0;
  await load(fleet, false, () => {
    if (++count === 20) first.child.process.kill('SIGKILL');
  });
  await first.child.finished;
  t.true(count >= 20 && count < 60, 'it was killed in the middle');
  front.target = fleet.url = (await second.ready).https.url;
  await assertComplete(t, fleet);
  // The broker has everything that the new instance knows, and is not ahead of it.
  await brokerConnected(second);
  const status = await flotilla(['status', '--state', second.state.root, '--json']);
  t.regex(status.stdout, /no broker knows more/);
  const odd = [...fleet.acknowledged.keys()].find((id) => Number(id.slice(1)) % 2 === 1) ?? '';
  t.deepEqual(await fleet.revoke(odd), { brokers: 1, brokersLate: 0 });
  // A repetition gets the same certificate, and the others get one.
  for (const id of fleet.ids) {
    const before = fleet.acknowledged.get(id)?.serial;
    // Also one whose revocation had no response yet.
    if ((await fleet.show(id)).status === 'revoked') continue;
    const { serial } = await fleet.enroll(id);
    if (before !== undefined) t.is(serial, before);
  }
  await load(fleet, true, () => undefined);
  await assertComplete(t, fleet);

  // The former instance starts again, waits, and takes over with the lines of both.
  const third = startOn(t, first.state);
  await third.child.errorLine((line) => line.startsWith('standby: '));
  await second.child.stop();
  fleet.url = (await third.ready).https.url;
  await assertComplete(t, fleet);
  const inDatabase = await verified(third.state);
  t.true(inDatabase.ok, inDatabase.detail);
  const tail = await flotilla([
    'audit',
    'tail',
    '--lines',
    '3',
    '--state',
    second.state.root,
    '--json',
  ]);
  t.is((tail.json() as { lines: unknown[] }).lines.length, 3);
  t.is((await third.child.stop()).code, 0);
  t.is((await broker.stop()).code, 0);
});

test('a database that is killed under load and starts again loses nothing, and the service continues', async (t) => {
  const database = skipsWithoutServer(t, await postgresServer());
  if (database === undefined) return;
  t.teardown(() => database.close());
  t.timeout(limitMs);
  const instance = startOn(t, await newState(t, await database.database()));
  const fleet = await newFleet(instance, 40);
  const { metrics } = await instance.ready;
  let restarted: Promise<void> | undefined;
  let count = 0;
  await load(fleet, true, () => {
    if (++count === 15) restarted = database.kill().then(database.start);
  });
  await restarted;
  t.is(fleet.acknowledged.size, 40);
  t.is(fleet.revoked.size, 20);
  await assertComplete(t, fleet);
  await until('it is ready', async () => (await fetch(`${metrics.url}/readyz`)).ok);
  const verdict = await verified(instance.state);
  t.true(verdict.ok, verdict.detail);
  t.is((await instance.child.stop()).code, 0);
});

test('an older state of the database, and a changed line of the audit log, are noticed', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const url = await database.database();
  const state = await newState(t, url);
  const init = (...more: string[]): ReturnType<typeof flotilla> =>
    flotilla(['init', '--state', state.root, ...more]);
  t.is((await init()).code, 0);
  const { lines, ok } = await verified(state);
  t.true(ok);
  await database.sql(
    url,
    `DELETE FROM flotilla.audit_line WHERE seq > 1;
     UPDATE flotilla.registry SET audit_seq = 1, number = 1,
       audit_hash = (SELECT right(left(line, -2), 64) FROM flotilla.audit_line)`,
  );
  t.false((await verified(state)).ok);
  t.regex((await init()).stderr, /registry-behind-audit/);
  t.is((await init('--accept-loss', 'registry')).code, 0);
  // The lost lines are in the database again, and the line about the loss after them.
  const restored = await verified(state);
  t.true(restored.ok, restored.detail);
  t.true(restored.lines > lines);
  const change =
    "UPDATE flotilla.audit_line SET line = replace(line, 'system', 'others') WHERE seq = 2";
  await database.sql(url, change);
  t.regex((await verified(state)).detail, /line 2: the line was changed/);
});

test('a database that does not fit is refused with a code, and a password is never shown', async (t) => {
  const database = skipsWithoutServer(t, server);
  if (database === undefined) return;
  t.timeout(limitMs);
  const init = async (state: StateFolder): Promise<string> => {
    const { code, stderr, stdout } = await flotilla(['init', '--state', state.root]);
    return code === 0 ? stdout : stderr;
  };
  const url = await database.database();
  const state = await newState(t, url);
  t.regex(await init(state), /^created/);
  const other = await newState(t, url);
  t.regex(await init(other), /database-ca-differs/, 'no second CA is created');
  await writeFile(other.config, '');
  t.regex(await init(other), /^created/);
  await writeFile(other.config, `enroll:\n  database: ${url}\n`);
  t.regex(await init(other), /registry-not-imported/, 'its own registry is in files');
  await rm(other.enroll.registry, { recursive: true });
  t.regex(await init(other), /database-ca-differs/, 'the CA of another fleet');
  t.regex(await init(state), /^kept/);
  await writeFile(state.config, `enroll:\n  database: ${await database.database()}\n`);
  t.regex(await init(state), /registry-missing/, 'an empty database');
  await writeFile(state.config, `enroll:\n  database: ${url}\n`);
  await database.sql(url, 'UPDATE flotilla.registry SET format = 99');
  t.regex(await init(state), /database-version/);
  await database.sql(url, 'UPDATE flotilla.registry SET format = 2');
  await writeFile(
    state.config,
    `enroll:\n  database: ${url.replace(/f[0-9a-f]{32}/, 'missing')}\n`,
  );
  t.regex(await init(state), /database-refused/);
  await writeFile(state.config, 'enroll:\n  database: postgres://x@/x?host=/nonexistent\n');
  t.regex(await init(state), /database-unreachable/);
  await writeFile(state.config, 'enroll:\n  database: postgres://x:hunter2@db/x\n');
  const text = await init(state);
  t.regex(text, /config-invalid/);
  t.notRegex(text, /hunter2/);
});
