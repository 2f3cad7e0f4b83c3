/** The error catalogue: every code in form, and documented. @module */
import { globSync, readFileSync } from 'node:fs';
import test from 'ava';
import { catalogue, isErrorCode } from '../../../../core/errors/catalogue.ts';
import {
  FlotillaError,
  isFlotillaError,
  messageOf,
} from '../../../../core/errors/flotilla-error.ts';
import { brokerErrors } from '../../../../core/errors/broker-errors.ts';
import { certsErrors } from '../../../../core/errors/certs-errors.ts';
import { cliErrors } from '../../../../core/errors/cli-errors.ts';
import { coreErrors } from '../../../../core/errors/core-errors.ts';
import { databaseErrors } from '../../../../core/errors/database-errors.ts';
import { exitCodeOf } from '../../../../core/errors/error-spec.ts';
import { cmpErrors } from '../../../../core/errors/cmp-errors.ts';
import { enrollErrors } from '../../../../core/errors/enroll-errors.ts';
import { simErrors } from '../../../../core/errors/sim-errors.ts';
import { storeErrors } from '../../../../core/errors/store-errors.ts';
import { errorsDoc, errorsDocPath } from '../../../../tools/errors-doc.ts';

const entries = Object.entries(catalogue);

test('every code is in kebab case and belongs to one table', (t) => {
  t.true(entries.length > 20);
  for (const [code] of entries) t.regex(code, /^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/);
  const tables = [
    ...[coreErrors, certsErrors, enrollErrors, brokerErrors],
    ...[storeErrors, simErrors, cliErrors, cmpErrors, databaseErrors],
  ];
  const all = tables.flatMap((table) => Object.keys(table));
  t.deepEqual(
    all.filter((code, at) => all.indexOf(code) !== at),
    [],
    'a code in two tables: the later one would silently win',
  );
  t.is(all.length, entries.length);
});

test('every error has a title and advice in the right form', (t) => {
  for (const [code, { title, advice }] of entries) {
    t.regex(title, /^[A-Z].{5,99}[^.!?: ]$/, `title of ${code}`);
    t.regex(advice, /^[A-Z].{8,240}[.]$/, `advice of ${code}`);
    t.notRegex(title + advice, /\s{2}|[\n\t]/, code);
  }
});

test('every status and reason code exists in its protocol and means failure', (t) => {
  // MQTT 5.0, table 2-6: the reason codes from 0x80, and 0x04 (disconnect with will message).
  const mqtt5 = new Set([
    0x04,
    ...[0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0x8c, 0x8d, 0x8e],
    ...[0x8f, 0x90, 0x91, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d],
    ...[0x9e, 0x9f, 0xa0, 0xa1, 0xa2],
  ]);
  for (const [code, spec] of entries) {
    // 202: in EST, an enrollment that waits for a decision (RFC 7030, 4.2.3).
    if (spec.http !== undefined)
      t.true((spec.http >= 400 && spec.http <= 599) || spec.http === 202, `http of ${code}`);
    if (spec.mqtt5 !== undefined) t.true(mqtt5.has(spec.mqtt5), `mqtt5 of ${code}`);
    if (spec.mqtt3 !== undefined) t.not(spec.mqtt5, undefined, `${code} is of MQTT 3.1.1 alone`);
  }
});

test('docs/errors.md is up to date with the catalogue', (t) => {
  const page = readFileSync(errorsDocPath, 'utf8');
  for (const [code] of entries) t.true(page.includes(`\n## ${code}\n`), `${code} is missing`);
  t.true(page === errorsDoc(), 'out of date: run node tools/errors-doc.ts');
});

test('exactly the errors that a command can fail with have an exit code', (t) => {
  t.is(exitCodeOf(catalogue['handshake-timeout']), undefined, 'only the broker can meet it');
  t.is(exitCodeOf(catalogue['websocket-invalid']), undefined, 'an HTTP status, but no command');
  t.is(exitCodeOf(catalogue['device-not-found']), 1, 'sent by the service');
  t.is(exitCodeOf(catalogue['config-invalid']), 2);
  t.notRegex(errorsDoc(), /## handshake-timeout\n[^#]*exit/);
  const missing = globSync('{core,cli,device-sim}/**/*.ts').flatMap((path) =>
    Array.from(readFileSync(path, 'utf8').matchAll(/new FlotillaError\(\s*'([^']+)'/g))
      .map(([, code = '']) => code)
      .filter((code) => isErrorCode(code) && exitCodeOf(catalogue[code]) === undefined),
  );
  t.deepEqual(missing, []);
});

test('only exact names are error codes', (t) => {
  t.true(isErrorCode('internal'));
  for (const text of ['', 'Internal', 'toString', '__proto__', 'constructor', 'no-such-code']) {
    t.false(isErrorCode(text), text);
  }
});

test('an error message contains title, detail and advice, and the cause is kept', (t) => {
  const cause = new Error('EIO');
  const error = new FlotillaError('internal', { detail: 'the disk', cause, retryAfterSeconds: 3 });
  t.is(error.message, `${catalogue.internal.title}: the disk. ${catalogue.internal.advice}`);
  t.is(error.name, 'FlotillaError');
  t.is(error.cause, cause);
  t.is(error.retryAfterSeconds, 3);
  t.is(error.spec, catalogue.internal);
  const bare = new FlotillaError('internal');
  t.is(bare.message, `${catalogue.internal.title}. ${catalogue.internal.advice}`);
  t.false('cause' in bare);
});

test('an error is recognized among other thrown values', (t) => {
  const error: unknown = new FlotillaError('internal');
  t.true(isFlotillaError(error));
  t.true(isFlotillaError(error, 'internal'));
  t.false(isFlotillaError(error, 'config-invalid'));
  t.false(isFlotillaError(new Error('x')));
  t.false(isFlotillaError(undefined));
  t.is(messageOf(new Error('x')), 'x');
  t.is(messageOf('text'), 'text');
  t.is(messageOf(undefined), 'undefined');
});
