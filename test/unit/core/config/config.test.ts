/** Where settings come from, which one wins, and what is said of a wrong one. @module */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { configSchema } from '../../../../core/config/config-schema.ts';
import { formatConfig } from '../../../../core/config/config-text.ts';
import {
  checkConfig,
  environmentName,
  loadConfig,
  type ConfigSources,
} from '../../../../core/config/config.ts';
import type { ErrorCode } from '../../../../core/errors/catalogue.ts';
import { FlotillaError } from '../../../../core/errors/flotilla-error.ts';
import { configDoc, configDocPath, settings } from '../../../../tools/config-doc.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

function file(t: ExecutionContext, text: string): string {
  const path = join(tempFolder(t), 'flotilla.yaml');
  writeFileSync(path, text);
  return path;
}

async function fault(
  t: ExecutionContext,
  sources: ConfigSources,
  code: ErrorCode = 'config-invalid',
): Promise<string> {
  const error = await t.throwsAsync(loadConfig(sources), { instanceOf: FlotillaError });
  t.is(error.code, code, error.message);
  return error.detail ?? '';
}

test('every setting is optional', async (t) => {
  const config = await loadConfig();
  t.is(config.host, '127.0.0.1');
  t.is(config.enroll.certificateValidity, 365 * 86_400_000);
  t.is(config.broker.onDenied, 'close');
  t.is(config.limits.broker.packetMaxBytes, 1_048_576);
  t.deepEqual(await loadConfig({ file: '/nonexistent/flotilla.yaml', env: {}, flags: {} }), config);
  t.deepEqual(checkConfig({}), config);
});

test('flags win over the environment, the environment over the file, the file over defaults', async (t) => {
  const path = file(t, 'host: file\nnames: [file]\nlog: {level: warn}\nbroker: {mqttsPort: 1}\n');
  const env = {
    FLOTILLA_HOST: 'env',
    FLOTILLA_LOG__LEVEL: 'error',
    FLOTILLA_BROKER__WSS_PORT: '2',
  };
  const config = await loadConfig({
    file: path,
    env,
    flags: { host: 'flag', broker: { metricsPort: 3 } },
  });
  t.is(config.host, 'flag');
  t.is(config.log.level, 'error');
  t.deepEqual(config.names, ['file']);
  t.like(config.broker, { mqttsPort: 1, wssPort: 2, metricsPort: 3 });
  t.is(config.enroll.port, 8443);
});

test('a list is replaced, not added to', async (t) => {
  const config = await loadConfig({
    file: file(t, 'names: [a, b]'),
    env: { FLOTILLA_NAMES: '[c]' },
  });
  t.deepEqual(config.names, ['c']);
});

test('the result is frozen at all levels', async (t) => {
  const config = await loadConfig({ file: file(t, 'names: [a]') });
  const frozen = (value: unknown): boolean =>
    typeof value !== 'object' ||
    value === null ||
    (Object.isFrozen(value) && Object.values(value).every(frozen));
  t.true(frozen(config));
});

test('a setting without a value counts as not set', async (t) => {
  const path = file(t, '# nothing\nhost:\nbroker:\nenroll:\n  url: ~\nlog:\n  level: null\n');
  const env = { FLOTILLA_HOST: '', FLOTILLA_BROKER__MQTTS_PORT: 'null' };
  t.deepEqual(await loadConfig({ file: path, env }), await loadConfig());
  t.deepEqual(await loadConfig({ file: file(t, '') }), await loadConfig());
});

test('an unknown setting is rejected with its name and position, from every source', async (t) => {
  const path = file(t, 'host: a\nbroker:\n  mqttPort: 1\nlimits: {broker: {}, sim: {}}\n');
  const detail = await fault(t, { file: path });
  t.true(detail.includes(`${path}:3:3: broker.mqttPort: unknown setting`), detail);
  t.true(detail.includes(`${path}:4:22: limits.sim: unknown setting`), detail);
  t.is(
    await fault(t, { file: file(t, 'brokre:\n') }).then((text) =>
      text.split(': ').slice(1).join(': '),
    ),
    'brokre: unknown setting; did you mean broker?',
  );
  t.is(
    await fault(t, { env: { FLOTILLA_BROKER__MQTT_PORT: '1' } }),
    'FLOTILLA_BROKER__MQTT_PORT: broker.mqttPort: unknown setting; did you mean mqttsPort?',
  );
  t.regex(await fault(t, { env: { FLOTILLA_: '1' } }), /"": unknown setting/);
});

test('names with a meaning in JavaScript are unknown settings like any other', async (t) => {
  for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
    const detail = await fault(t, { file: file(t, `${name}: {host: evil}\n`) });
    t.regex(detail, new RegExp(`${name}: unknown setting`));
    t.regex(await fault(t, { file: file(t, `broker: {${name}: {}}\n`) }), /unknown setting/);
  }
  t.regex(await fault(t, { env: { FLOTILLA_CONSTRUCTOR__NAME: 'x' } }), /unknown setting/);
  t.regex(await fault(t, { env: { FLOTILLA___PROTO____HOST: 'x' } }), /unknown setting/);
  t.is((await loadConfig()).host, '127.0.0.1');
  t.is(({} as Record<string, unknown>)['host'], undefined);
});

test('a value out of range is rejected with its name, position and range', async (t) => {
  const path = file(t, 'broker:\n  # a comment\n  mqttsPort: 65536\nnames:\n  - 1\n');
  const detail = await fault(t, {
    file: path,
    env: { FLOTILLA_LIMITS__BROKER__CONNECTIONS_MAX: '0' },
    flags: { enroll: { port: -1 } },
  });
  t.true(detail.includes(`${path}:3:3: broker.mqttsPort: must be at most 65535`), detail);
  t.true(detail.includes(`${path}:4:1: names.0: `), detail);
  t.true(
    detail.includes('FLOTILLA_LIMITS__BROKER__CONNECTIONS_MAX: limits.broker.connectionsMax: '),
  );
  t.true(detail.includes('on the command line: enroll.port: '));
});

test('the reported position is that of the value in effect', async (t) => {
  const path = file(t, 'host: 5\n');
  t.regex(await fault(t, { file: path, env: { FLOTILLA_HOST: '6' } }), /^FLOTILLA_HOST: host: /);
  t.is((await loadConfig({ file: path, env: { FLOTILLA_HOST: 'fine' } })).host, 'fine');
});

test('types are not converted: a number is not a text, a text is not a number', async (t) => {
  for (const text of ['host: 5', 'host: [a]', 'host: {a: b}', 'broker: 5', 'broker: [1]']) {
    t.truthy(await fault(t, { file: file(t, text) }), text);
  }
  for (const value of ['"8883"', '8883.5', '1e99', '.nan', '-1', 'true', '[8883]', '0x1ffff']) {
    t.truthy(await fault(t, { file: file(t, `broker: {mqttsPort: ${value}}`) }), value);
  }
  t.truthy(await fault(t, { file: file(t, 'broker: {tlsSessionTickets: "yes"}') }));
});

test('origins of web pages are validated as browsers write them', (t) => {
  const wssOrigins = ['https://dashboard.example.com', 'http://localhost:3000', 'https://[::1]:1'];
  t.deepEqual(checkConfig({ broker: { wssOrigins } }).broker.wssOrigins, wssOrigins);
  for (const wrong of [
    '*',
    'null',
    'dashboard.example.com',
    'https://dashboard.example.com/',
    'https://dashboard.example.com:443',
    'https://Dashboard.example.com',
    'https://*.example.com/x',
    'wss://dashboard.example.com',
    'file://',
  ]) {
    t.throws(() => checkConfig({ broker: { wssOrigins: [wrong] } }), undefined, wrong);
  }
});

test('durations are validated when the configuration is loaded', async (t) => {
  const config = await loadConfig({ env: { FLOTILLA_ENROLL__TOKEN_TTL: '90s' } });
  t.is(config.enroll.tokenTtl, 90_000);
  t.regex(await fault(t, { env: { FLOTILLA_ENROLL__TOKEN_TTL: '90' } }), /enroll.tokenTtl/);
  t.regex(await fault(t, { flags: { enroll: { tokenTtl: '1 day' } } }), /not a duration: "1 day"/);
  t.regex(await fault(t, { flags: { enroll: { tokenTtl: '0s' } } }), /expected 1s or longer/);
  t.is((await loadConfig({ flags: { enroll: { renewGrace: '0s' } } })).enroll.renewGrace, 0);
});

test('the URL of the service is https and contains no credentials', async (t) => {
  const url = 'https://flotilla.example:8443';
  t.is((await loadConfig({ flags: { enroll: { url } } })).enroll.url, url);
  for (const bad of ['http://a', 'a:1', '//a', 'https://u:p@a', 'https://a/?x', 'https://a/#x']) {
    t.regex(await fault(t, { flags: { enroll: { url: bad } } }), /enroll\.url/, bad);
  }
});

test('a host is an address or a host name and nothing else', async (t) => {
  for (const host of ['', ' ', '\0', 'a b', 'a/b', 'https://a', 'a\n', 'é', 'x'.repeat(254)]) {
    t.regex(
      await fault(t, { flags: { host } }),
      /^on the command line: host: /,
      JSON.stringify(host),
    );
  }
});

test('broken YAML names file, line and column', async (t) => {
  const cases: readonly [string, RegExp][] = [
    ['host: a\nbroker: [1\n', /flotilla\.yaml:3:1: /],
    ['host: a\n  broker: b\n', /flotilla\.yaml:1:7: Nested/],
    ['host: a\nhost: b\n', /flotilla\.yaml:2:1: .*unique/],
    ['host: "a\n', /flotilla\.yaml:\d+:\d+: /],
    ['a: &x 1\nb: *x\n', /flotilla\.yaml:2:4: aliases are not supported/],
    ['a: *x\n', /flotilla\.yaml:1:4: /],
    ['---\nhost: a\n---\nhost: b\n', /flotilla\.yaml:3:1: /],
    ['- a\n- b\n', /flotilla\.yaml:1:1: expected settings/],
    ['just text', /flotilla\.yaml:1:1: expected settings/],
  ];
  for (const [text, expected] of cases) {
    const path = file(t, text);
    const error = await t.throwsAsync(loadConfig({ file: path }), { instanceOf: FlotillaError });
    t.regex(error.detail ?? '', expected, JSON.stringify(text));
    t.is(error.code, 'config-unreadable', JSON.stringify(text));
  }
});

test('YAML aliases are rejected, so that a small file cannot expand', async (t) => {
  const nine = (name: string): string => Array.from({ length: 9 }, () => name).join(',');
  const bomb = ['a0: &a0 x'];
  for (let level = 1; level < 9; level++)
    bomb.push(`a${level}: &a${level} [${nine(`*a${level - 1}`)}]`);
  t.regex(await fault(t, { file: file(t, bomb.join('\n')) }, 'config-unreadable'), /aliases/);
});

test('an unreadable file is not treated as a missing one', async (t) => {
  const folder = join(tempFolder(t), 'flotilla.yaml');
  mkdirSync(folder);
  t.is(await fault(t, { file: folder }, 'config-unreadable'), folder);
  if (process.getuid?.() === 0) return;
  const locked = file(t, 'host: a');
  chmodSync(locked, 0);
  t.is(await fault(t, { file: locked }, 'config-unreadable'), locked);
});

test('a broken value in the environment names its variable', async (t) => {
  for (const value of ['[', '{', 'a: b: c', '"', '*x', '@', '%']) {
    const detail = await fault(t, { env: { FLOTILLA_HOST: value } });
    t.regex(detail, /^FLOTILLA_HOST: /, value);
  }
  const both = { FLOTILLA_BROKER: 'x', FLOTILLA_BROKER__MQTTS_PORT: '1' };
  t.regex(await fault(t, { env: both }), /^FLOTILLA_BROKER__MQTTS_PORT: expected a section/);
});

test('an environment variable may contain text with a special meaning in YAML', async (t) => {
  for (const host of ['::1', '::', '0.0.0.0', 'a-b.example', 'fe80::1']) {
    t.is((await loadConfig({ env: { FLOTILLA_HOST: host } })).host, host);
  }
});

test('other environment variables are ignored', async (t) => {
  const env = {
    FLOTILLA_STATE: '/x',
    FLOTILLA_TOKEN: 'secret-token',
    FLOTILLA_CA_PASSPHRASE: 'secret-passphrase',
    FLOTILLA_CA_PASSPHRASE_FILE: '/y',
    FLOTILLA_TEST_NO_SKIP: '1',
    FLOTILLAX: '1',
    PATH: '/bin',
    FLOTILLA_HOST: undefined,
  };
  const config = await loadConfig({ env });
  t.deepEqual(config, await loadConfig());
  t.notRegex(formatConfig(config), /secret/);
});

test('every setting can be reached from the environment by its documented name', async (t) => {
  const all = settings();
  t.true(all.length > 50);
  for (const name of ['enroll.profiles', 'enroll.profiles.{name}.validity', 'enroll.hook.url']) {
    t.true(
      all.some((setting) => setting.name === name),
      name,
    );
  }
  const names = all.map(({ environment }) => environment).filter((one) => one !== '');
  t.is(new Set(names).size, names.length);
  for (const { name, environment } of all) {
    if (environment === '') continue;
    // No setting accepts a map with an unknown key, so the error shows where the value was set.
    const detail = await fault(t, { env: { [environment]: '{no such: key}' } });
    t.true(detail.includes(`${environment}: ${name}`), detail);
  }
  t.is(environmentName(['broker', 'mqttsPort']), 'FLOTILLA_BROKER__MQTTS_PORT');
});

test('the printed configuration is a file that results in the same configuration', async (t) => {
  const config = await loadConfig({
    flags: {
      host: '::',
      names: ['a: b', '10.0.0.1', 'true', '#x'],
      enroll: {
        ...{ url: 'https://a.example:1', tokenTtl: '90s', renewGrace: '0s' },
        profiles: { gateway: { validity: '30d', attributes: { site: 'north' } } },
        approval: { autoApprove: [{ idPrefix: 'x' }] },
      },
      broker: { onDenied: 'drop', tlsSessionTickets: false },
      limits: { broker: { packetMaxBytes: 4096 } },
    },
  });
  const text = formatConfig(config);
  t.deepEqual(await loadConfig({ file: file(t, text) }), config);
  t.regex(text, /tokenTtl: 90s\n/);
  t.regex(text, /validity: 30d\n/);
  t.deepEqual(
    await loadConfig({ file: file(t, formatConfig(await loadConfig())) }),
    await loadConfig(),
  );
});

test('a setting with the name of a secret is hidden in the printed configuration', async (t) => {
  const config = await loadConfig();
  const withSecrets = {
    ...config,
    enroll: Object.assign({}, config.enroll, { passphrase: 'open', token: 'open' }),
  };
  const text = formatConfig(withSecrets);
  t.notRegex(text, /open/);
  t.is(text.match(/\[hidden\]/g)?.length, 2);
  t.regex(text, /tokenTtl: 1d/);
});

test('any file content results in a configuration or an error of the catalogue', async (t) => {
  const path = file(t, '');
  const names = fc.constantFrom('host', 'names', 'log', 'level', 'enroll', 'broker', 'limits', 'x');
  const value = fc.letrec((tie) => ({
    node: fc.oneof(
      { maxDepth: 3 },
      fc.oneof(fc.integer(), fc.string(), fc.constant(null), fc.boolean()),
      fc.array(tie('node'), { maxLength: 2 }),
      fc.dictionary(names, tie('node'), { maxKeys: 3 }),
    ),
  })).node;
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        value.map((node) => JSON.stringify(node)),
        fc.string({ unit: 'binary' }),
      ),
      async (text) => {
        writeFileSync(path, text);
        try {
          t.truthy(await loadConfig({ file: path }));
        } catch (error) {
          t.true(error instanceof FlotillaError, String(error));
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('every default is valid in the schema', (t) => {
  t.true(configSchema.safeParse({}).success);
});

test('docs/configuration.md is up to date with the schemas', (t) => {
  t.true(
    readFileSync(configDocPath, 'utf8') === configDoc(),
    'out of date: run node tools/config-doc.ts',
  );
});

test('the variables that Kubernetes sets for a Service are ignored', async (t) => {
  const env: Record<string, string> = {};
  for (const service of ['FLOTILLA', 'FLOTILLA_BROKER', 'FLOTILLA_ENROLL', 'FLOTILLA_METRICS_V2']) {
    env[`${service}_SERVICE_HOST`] = '10.96.12.3';
    env[`${service}_SERVICE_PORT`] = '8883';
    env[`${service}_SERVICE_PORT_MQTTS`] = '8883';
    env[`${service}_PORT`] = 'tcp://10.96.12.3:8883';
    for (const part of ['', '_PROTO', '_PORT', '_ADDR']) {
      env[`${service}_PORT_8883_TCP${part}`] = 'x';
      env[`${service}_PORT_8883_UDP${part}`] = 'x';
    }
  }
  t.deepEqual(await loadConfig({ env }), await loadConfig());
  t.is((await loadConfig({ env: { ...env, FLOTILLA_ENROLL__PORT: '1' } })).enroll.port, 1);
  t.regex(await fault(t, { env: { FLOTILLA_PROT: '1' } }), /unknown setting/);
  t.regex(await fault(t, { env: { FLOTILLA_MQTTS_PORT: '1' } }), /unknown setting/);
});

test('a misspelled setting is named with the one that was most likely meant', (t) => {
  const error = t.throws(() => checkConfig({ limits: { broker: { retainedMx: 3 } } }));
  t.regex(error.message, /retainedMx: unknown setting; did you mean retainedMax\? Correct/);
  for (const [settings, meant] of [
    [{ enroll: { ur: 'x' } }, 'url'],
    [{ enroll: { profiles: { meters: { keyRuse: true } } } }, 'keyReuse'],
  ] as const) {
    t.regex(t.throws(() => checkConfig(settings)).message, new RegExp(`did you mean ${meant}\\? `));
  }
});
