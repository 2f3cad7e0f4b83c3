import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { RunningSettings } from '../../../../cli/lib/setting-changes.ts';
import { loadConfig, type Config } from '../../../../core/config/config.ts';
import { captureLog } from '../../../support/log-capture.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

test('a reload puts in force what it can, names what needs a restart, and reports a file that would prevent one', async (t) => {
  const file = join(tempFolder(t), 'flotilla.yaml');
  const read = (): Promise<Config> =>
    loadConfig({ file, flags: { enroll: { tokenReplay: '1m' } } });
  writeFileSync(file, 'names: [a.example]\n');
  const { log, lines } = captureLog();
  const settings = new RunningSettings(await read(), read);
  settings.follow(log);
  const { config } = settings;
  const { enroll } = config;
  const { broker } = config.limits;
  await settings.reload();
  t.is(lines.length, 0, 'nothing changed');
  writeFileSync(
    file,
    'names: [b.example]\nenroll: {tokenTtl: 1h, tokenReplay: 2m, crlValidity: 2h, profiles: {a: {validity: 1d}}}\nlimits: {broker: {topicLevelsMax: 3, packetMaxBytes: 5000}}\n',
  );
  await Promise.all([settings.reload(), settings.reload()]);
  t.is(lines.length, 2, 'the services of one process read it once');
  const applied = lines[0]?.['settings'] as string[];
  for (const name of [
    'enroll.profiles.a.validity',
    'enroll.tokenTtl',
    'limits.broker.topicLevelsMax',
    'names',
  ]) {
    t.true(applied.includes(name), name);
  }
  t.deepEqual(lines[1]?.['settings'], ['enroll.crlValidity', 'limits.broker.packetMaxBytes']);
  t.is(broker.topicLevelsMax, 3);
  t.deepEqual([config.names, enroll.tokenTtl], [['b.example'], 3_600_000]);
  t.is(enroll.crlValidity, 86_400_000, 'it keeps its value until the restart');
  t.is(enroll.tokenReplay, 60_000, 'the command line has precedence');
  t.deepEqual(Object.keys(enroll.profiles), ['a']);
  writeFileSync(file, 'nmes: [b.example]\n');
  await settings.reload();
  t.is(lines.at(-1)?.['level'], 'error');
  t.is(enroll.tokenTtl, 3_600_000, 'it keeps the last valid value');
  writeFileSync(file, 'log: {level: error}\n');
  await settings.reload();
  t.is(log.level, 'error');
});
