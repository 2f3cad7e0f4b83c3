/** The messages of the feed, which are hostile until parsed. @module */
import test from 'ava';
import {
  directoryEntrySchema,
  feedLineSchema,
  feedReportMaxBytes,
  feedReportSchema,
  refusalSchema,
  reportMax,
  reportedTextMaxChars,
  type DirectoryEntry,
} from '../../../../core/protocol/feed.ts';
import { parseDeviceId } from '../../../../core/device-id.ts';

const fingerprint = `sha256:${'ab'.repeat(32)}`;
const certificate = {
  serial: '0a1b',
  fingerprint,
  notBeforeMs: 0,
  notAfterMs: 1,
  status: 'active',
} as const;
const entry: DirectoryEntry = {
  id: parseDeviceId('pump-7'),
  role: 'device',
  status: 'active',
  group: null,
  attributes: { site: 'north' },
  certificates: [certificate],
};

test('every type of line is accepted', (t) => {
  const lines = [
    { type: 'hello', epoch: 'e', sequence: 0, graceMs: 0 },
    { type: 'snapshot-begin', sequence: 0 },
    { type: 'entry', entry },
    { type: 'snapshot-end', sequence: 0 },
    { type: 'change', sequence: 1, entry },
    { type: 'removed', sequence: 2, id: 'pump-7' },
    { type: 'authorities', sequence: 3, pem: ['x'] },
    { type: 'heartbeat', sequence: 3 },
  ];
  for (const line of lines) t.deepEqual(feedLineSchema.parse(line), line as never, line.type);
});

test('an unknown line, or one with missing or additional fields, is rejected', (t) => {
  const lines: unknown[] = [
    null,
    'heartbeat',
    [],
    {},
    { type: 'unknown' },
    { type: 'heartbeat' },
    { type: 'heartbeat', sequence: -1 },
    { type: 'heartbeat', sequence: 1.5 },
    { type: 'heartbeat', sequence: '1' },
    { type: 'heartbeat', sequence: 2 ** 53 },
    { type: 'heartbeat', sequence: 1, more: true },
    { type: 'hello', epoch: '', sequence: 0, graceMs: 0 },
    { type: 'hello', epoch: 'x'.repeat(65), sequence: 0, graceMs: 0 },
    { type: 'removed', sequence: 1, id: 'a/b' },
    { type: 'removed', sequence: 1, id: 5 },
    { type: 'authorities', sequence: 1, pem: Array.from({ length: 17 }, () => 'x') },
  ];
  for (const line of lines) t.false(feedLineSchema.safeParse(line).success, JSON.stringify(line));
});

test('an entry with an invalid id, role, status or certificate is rejected', (t) => {
  t.true(directoryEntrySchema.safeParse(entry).success);
  const changes: Record<string, unknown>[] = [
    { id: '#' },
    { id: '' },
    { role: '' },
    { role: 'a b' },
    { role: 'x'.repeat(65) },
    { status: 'deleted' },
    { status: 'pending' },
    { group: 'x'.repeat(129) },
    { group: undefined },
    { attributes: { a: 1 } },
    { attributes: { ['x'.repeat(65)]: 'a' } },
    { attributes: { a: 'x'.repeat(257) } },
    { certificates: Array.from({ length: 17 }, () => certificate) },
    { certificates: [{ ...certificate, serial: '0A1B' }] },
    { certificates: [{ ...certificate, serial: 'abc' }] },
    { certificates: [{ ...certificate, serial: '' }] },
    { certificates: [{ ...certificate, serial: 'ab'.repeat(21) }] },
    { certificates: [{ ...certificate, fingerprint: fingerprint.toUpperCase() }] },
    { certificates: [{ ...certificate, fingerprint: 'sha256:ab' }] },
    { certificates: [{ ...certificate, status: 'expired' }] },
    { certificates: [{ ...certificate, notAfterMs: Infinity }] },
    { more: 1 },
  ];
  for (const change of changes) {
    t.false(
      directoryEntrySchema.safeParse({ ...entry, ...change }).success,
      JSON.stringify(change),
    );
  }
});

test('the lists of a report are bounded', (t) => {
  const report = { epoch: 'e', applied: 5 };
  t.deepEqual(feedReportSchema.parse(report), {
    ...report,
    ...{ closed: [], presence: [], denied: [], incidents: [] },
  });
  t.false(feedReportSchema.safeParse({ ...report, more: 1 }).success);
  const presence = { id: 'a', connected: true, atMs: 0, serial: '0a', remoteAddress: '::1' };
  t.true(feedReportSchema.safeParse({ ...report, presence: [presence] }).success);
  const many = Array.from({ length: 1001 }, () => presence);
  t.false(feedReportSchema.safeParse({ ...report, presence: many }).success);
  t.false(
    feedReportSchema.safeParse({ ...report, closed: [{ sequence: 1, connections: 0 }] }).success,
  );
});

test('the largest possible report is accepted', (t) => {
  const id = 'd'.repeat(128);
  const serial = 'ff'.repeat(20);
  // One UTF-16 code unit takes at most three bytes; characters of four bytes have two units.
  const text = (length: number): string => '\u20ac'.repeat(length);
  const times = <T>(length: number, make: () => T): T[] => Array.from({ length }, make);
  const timeMs = 8_640_000_000_000_000;
  const report = {
    epoch: text(64),
    applied: Number.MAX_SAFE_INTEGER,
    closed: times(reportMax.closed, () => ({
      sequence: Number.MAX_SAFE_INTEGER,
      connections: Number.MAX_SAFE_INTEGER,
    })),
    presence: times(reportMax.presence, () => ({
      id,
      connected: false,
      atMs: Number.MAX_SAFE_INTEGER,
      serial,
      remoteAddress: text(64),
      reason: text(128),
    })),
    denied: times(reportMax.denied, () => ({
      id,
      count: Number.MAX_SAFE_INTEGER,
      last: times(10, () => ({
        atMs: Number.MAX_SAFE_INTEGER,
        action: 'subscribe',
        topic: text(256),
        code: text(64),
      })),
    })),
    incidents: times(reportMax.incidents, () => ({
      id,
      kind: 'flapping',
      atMs: Number.MAX_SAFE_INTEGER,
      serial,
      addresses: times(16, () => text(64)),
      reaction: 'quarantine',
    })),
    refusals: {
      run: text(64),
      number: Number.MAX_SAFE_INTEGER,
      entries: times(reportMax.refusals, () => ({
        code: 'c'.repeat(64),
        stage: 'handshake',
        id,
        serial,
        address: text(64),
        topic: text(reportedTextMaxChars),
        detail: text(reportedTextMaxChars),
        count: Number.MAX_SAFE_INTEGER,
        firstAtMs: timeMs,
        lastAtMs: timeMs,
      })),
    },
  };
  const result = feedReportSchema.safeParse(report);
  t.true(result.success, result.error?.message);
  const bytes = Buffer.byteLength(JSON.stringify(report));
  t.true(bytes <= feedReportMaxBytes, `${bytes} bytes`);
});

test('text from unidentified clients is accepted in a report only without control characters', (t) => {
  const refusal = { code: 'device-unknown', stage: 'connect', count: 1, firstAtMs: 1, lastAtMs: 1 };
  t.true(refusalSchema.safeParse({ ...refusal, topic: 'a/b "c" \u20ac' }).success);
  for (const bad of ['\0', '\u001b[2J', '\u009b', '\u202e', '\u2028', '\ud800', 'x'.repeat(129)]) {
    for (const field of ['topic', 'detail', 'address']) {
      t.false(refusalSchema.safeParse({ ...refusal, [field]: bad }).success, JSON.stringify(bad));
    }
  }
  t.false(refusalSchema.safeParse({ ...refusal, code: 'Not a code' }).success);
  t.false(
    refusalSchema.safeParse({ ...refusal, lastAtMs: 9e15 }).success,
    'it is not a valid date',
  );
});
