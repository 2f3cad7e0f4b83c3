/**
 * The contract of every registry (enroll/registry/registry.ts), as tests.
 *
 * @module
 */
import type { ExecutionContext, TestFn } from 'ava';
import { parseDeviceId } from '../../core/device-id.ts';
import { isFlotillaError } from '../../core/errors/flotilla-error.ts';
import type { AuditEvent } from '../../enroll/audit/audit-event.ts';
import type { DeviceRecord, TokenRecord } from '../../enroll/registry/records.ts';
import { retryOnConflict, type Registry } from '../../enroll/registry/registry.ts';

export interface Opened {
  readonly registry: Registry;
  /** The events that the sink was given, in order. */
  readonly events: readonly AuditEvent[];
  /** Closes it and opens it again on the same data. */
  reopen(): Promise<Opened>;
}

export function deviceRow(id: string, more: Partial<DeviceRecord> = {}): DeviceRecord {
  return {
    id: parseDeviceId(id),
    role: 'device',
    status: 'active',
    group: null,
    attributes: {},
    profile: 'default',
    createdAtMs: 1,
    certificates: [certificateOf(id)],
    ...more,
  };
}

export function certificateOf(
  name: string,
  more: Partial<DeviceRecord['certificates'][number]> = {},
): DeviceRecord['certificates'][number] {
  const hex = Buffer.from(name).toString('hex');
  return {
    serial: hex,
    fingerprint: `sha256:f${hex}`,
    keyFingerprint: `sha256:k${hex}`,
    key: '',
    issuer: 'sha256:i',
    notBeforeMs: 0,
    notAfterMs: 1000,
    status: 'active',
    ...more,
  };
}

export function tokenRow(hash: string, device: string | null): TokenRecord {
  return {
    hash,
    device: device === null ? null : parseDeviceId(device),
    group: null,
    profile: null,
    usesMax: 1,
    uses: 0,
    createdAtMs: 1,
    expiresAtMs: 2,
  };
}

const issued: AuditEvent = { action: 'certificate-issued', actor: 'test', device: 'a' };

/** Declares the suite's tests. */
export function registryContract(
  test: TestFn,
  name: string,
  open: (t: ExecutionContext) => Promise<Opened>,
): void {
  const put = (
    record: DeviceRecord,
    expected = 0,
  ): { puts: [{ table: 'devices'; record: DeviceRecord; expected: number }] } => ({
    puts: [{ table: 'devices', record, expected }],
  });

  test(`${name}: committed rows are read back, also after the registry was opened again`, async (t) => {
    const first = await open(t);
    const row = deviceRow('a', { group: 'g', attributes: { constructor: 'x', é: '"\n' } });
    await first.registry.commit({
      puts: [
        { table: 'devices', record: row, expected: 0 },
        { table: 'tokens', record: tokenRow('t1', 'a'), expected: 0 },
        { table: 'tokens', record: tokenRow('t2', null), expected: 0 },
      ],
    });
    for (const { registry } of [first, await first.reopen()]) {
      const read = await registry.get('devices', 'a');
      t.like(read, { ...row });
      t.is((await registry.holderOfSerial(certificateOf('a').serial))?.id, row.id);
      t.is(await registry.holderOfKey(certificateOf('a').keyFingerprint), row.id);
      t.deepEqual(
        (await registry.tokensOf(row.id)).map(({ hash }) => hash),
        ['t1'],
      );
      t.is(await registry.count('tokens'), 2);
    }
  });

  test(`${name}: ids that are property names in JavaScript are ids like any other`, async (t) => {
    const { registry } = await open(t);
    t.is(await registry.get('devices', 'constructor'), undefined);
    await registry.commit(put(deviceRow('constructor')));
    await registry.commit(put(deviceRow('toString')));
    t.is((await registry.get('devices', 'constructor'))?.id, 'constructor' as never);
    t.is(await registry.count('devices'), 2);
  });

  test(`${name}: a change that expects another version is refused completely`, async (t) => {
    const { registry, events } = await open(t);
    await registry.commit(put(deviceRow('a')));
    const read = await registry.get('devices', 'a');
    await registry.commit(put(deviceRow('a', { group: 'new' }), read?.version));
    const error = await t.throwsAsync(
      registry.commit({
        puts: [
          { table: 'tokens', record: tokenRow('t', 'a'), expected: 0 },
          { table: 'devices', record: deviceRow('a', { group: 'late' }), expected: read!.version },
        ],
        events: [issued],
      }),
    );
    t.true(isFlotillaError(error, 'registry-conflict'));
    t.is((await registry.get('devices', 'a'))?.group, 'new');
    t.is(await registry.get('tokens', 't'), undefined);
    t.deepEqual(events, []);
    await t.throwsAsync(registry.commit(put(deviceRow('a'))), undefined, 'it exists already');
    await t.throwsAsync(
      registry.commit({ deletions: [{ table: 'devices', key: 'b', expected: 1 }] }),
    );
  });

  test(`${name}: a version is not used twice, not even after a deletion`, async (t) => {
    const { registry } = await open(t);
    await registry.commit(put(deviceRow('a')));
    const old = await registry.get('devices', 'a');
    await registry.commit({
      deletions: [{ table: 'devices', key: 'a', expected: old!.version }],
    });
    t.is(await registry.holderOfSerial(certificateOf('a').serial), undefined);
    await registry.commit(put(deviceRow('a')));
    await t.throwsAsync(registry.commit(put(deviceRow('a', { group: 'x' }), old!.version)));
  });

  test(`${name}: of a hundred concurrent increments none is lost`, async (t) => {
    const { registry } = await open(t);
    await registry.commit({
      puts: [{ table: 'tokens', record: tokenRow('t', null), expected: 0 }],
    });
    await Promise.all(
      Array.from({ length: 100 }, () =>
        retryOnConflict(async () => {
          const { version, ...token } = (await registry.get('tokens', 't'))!;
          await registry.commit({
            puts: [
              { table: 'tokens', record: { ...token, uses: token.uses + 1 }, expected: version },
            ],
          });
        }),
      ),
    );
    t.is((await registry.get('tokens', 't'))?.uses, 100);
  });

  test(`${name}: a serial number or a key belongs to one identity`, async (t) => {
    const { registry } = await open(t);
    await registry.commit(put(deviceRow('a')));
    const { serial, keyFingerprint } = certificateOf('a');
    const same = [certificateOf('b', { serial }), certificateOf('b', { keyFingerprint })];
    for (const certificate of same) {
      const error = await t.throwsAsync(
        registry.commit(put(deviceRow('b', { certificates: [certificate] }))),
      );
      t.true(isFlotillaError(error, 'registry-conflict'));
    }
    const { version } = (await registry.get('devices', 'a'))!;
    const twice = [certificateOf('a'), certificateOf('a2', { keyFingerprint })];
    await t.notThrowsAsync(registry.commit(put(deviceRow('a', { certificates: twice }), version)));
  });

  test(`${name}: watchers and the sink get commits in order, before the promise resolves`, async (t) => {
    const { registry, events } = await open(t);
    const heard: string[] = [];
    const stop = registry.watch(({ puts }) => {
      for (const one of puts) if (one.table === 'devices') heard.push(one.record.id);
    });
    const names = Array.from({ length: 50 }, (_none, at) => `d${at}`);
    const numbers = await Promise.all(
      names.map(async (id) => {
        const number = await registry.commit({
          ...put(deviceRow(id)),
          events: [{ ...issued, device: id }],
        });
        t.true(heard.includes(id));
        t.true(events.some(({ device }) => device === id));
        return number;
      }),
    );
    stop();
    t.deepEqual(heard, names);
    t.deepEqual(
      events.map(({ device }) => device),
      names,
    );
    t.deepEqual(
      numbers,
      numbers.toSorted((one, other) => one - other),
    );
    await registry.commit(put(deviceRow('later')));
    t.false(heard.includes('later'));
  });

  test(`${name}: pages continue without gap or repetition, in the order of ids`, async (t) => {
    const { registry } = await open(t);
    const ids = Array.from({ length: 57 }, (_none, at) => `p${(at * 37) % 57}`);
    for (const id of ids) await registry.commit(put(deviceRow(id)));
    await registry.commit(put(deviceRow('q')));
    const found: string[] = [];
    let after: string | null = '';
    while (after !== null) {
      const page = await registry.list({ limit: 10, after, idPrefix: 'p' });
      t.true(page.devices.length <= 10);
      found.push(...page.devices.map(({ id }) => id));
      after = page.next;
    }
    t.deepEqual(found, ids.toSorted());
    t.deepEqual((await registry.list({ limit: 5, idPrefix: 'q' })).devices.length, 1);
    t.is((await registry.list({ limit: 58 })).next, null);
  });

  test(`${name}: a list matches every condition`, async (t) => {
    const { registry } = await open(t);
    await registry.commit(put(deviceRow('a', { group: 'g', attributes: { site: 'north' } })));
    await registry.commit(put(deviceRow('b', { group: 'g', status: 'suspended' })));
    await registry.commit(
      put(deviceRow('c', { certificates: [certificateOf('c', { notAfterMs: 5000 })] })),
    );
    await registry.commit(put(deviceRow('s', { role: 'service' })));
    const ids = async (query: object): Promise<string[]> =>
      (await registry.list({ limit: 10, ...query })).devices.map(({ id }) => id);
    t.deepEqual(await ids({ group: 'g' }), ['a', 'b']);
    t.deepEqual(await ids({ status: 'suspended' }), ['b']);
    t.deepEqual(await ids({ role: 'service' }), ['s']);
    t.deepEqual(await ids({ attributes: { site: 'north' } }), ['a']);
    t.deepEqual(await ids({ attributes: { constructor: 'north' } }), []);
    t.deepEqual(await ids({ expiresBeforeMs: 2000 }), ['a', 'b', 's']);
    t.deepEqual(await ids({ group: 'g', status: 'active' }), ['a']);
  });

  test(`${name}: all rows of a table are returned, each once`, async (t) => {
    const { registry } = await open(t);
    const ids = Array.from({ length: 300 }, (_none, at) => `r${at}`);
    await Promise.all(ids.map((id) => registry.commit(put(deviceRow(id)))));
    const seen: string[] = [];
    for await (const row of registry.rows('devices')) seen.push(row.id);
    t.deepEqual(seen.sort(), ids.toSorted());
    t.is(await registry.count('devices'), 300);
  });

  test(`${name}: a reader of all rows lets other work run, however long it takes for each row`, async (t) => {
    const { registry } = await open(t);
    await registry.commit({
      puts: Array.from({ length: 1000 }, (_none, at) => put(deviceRow(`r${at}`)).puts[0]),
    });
    let turns = 0;
    let done = false;
    const other = (): void => {
      turns++;
      if (!done) setImmediate(other);
    };
    setImmediate(other);
    let read = 0;
    for await (const row of registry.rows('devices')) {
      const endMs = performance.now() + 0.1;
      while (performance.now() < endMs) read += row.id === '' ? 1 : 0;
      read++;
    }
    done = true;
    t.is(read, 1000);
    // At least 100 ms of work, and one turn of the event loop per millisecond.
    t.true(turns >= 10, `${turns} turns`);
  });

  test(`${name}: nothing can be committed after closing`, async (t) => {
    const { registry } = await open(t);
    await registry.close();
    await t.throwsAsync(registry.commit(put(deviceRow('a'))));
  });
}
