import test from 'ava';
import { fileURLToPath } from 'node:url';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { spawnChild } from '../support/child.ts';
import { debianTool } from '../support/debian-tool.ts';
import { tempFolder } from '../support/temp-folder.ts';

const program = fileURLToPath(new URL('../support/ca-generations-process.ts', import.meta.url));
const stepSchema = z.looseObject({ step: z.string(), connected: z.array(z.string()).optional() });

test('a fleet lives through two changes of the root, a stolen issuer and a restored backup, and nobody touches a device', async (t) => {
  if (debianTool(t, 'faketime') === undefined) return;
  const library = readdirSync('/usr/lib')
    .map((name) => join('/usr/lib', name, 'faketime', 'libfaketime.so.1'))
    .find((path) => existsSync(path));
  if (library === undefined) return void t.fail('libfaketime is missing');
  const folder = tempFolder(t);
  const clock = join(folder, 'clock');
  writeFileSync(clock, '+0\n');
  const child = spawnChild(t, process.execPath, [program, join(folder, 'state'), clock], {
    timeoutMs: 600_000,
    env: {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: clock,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      DONT_FAKE_MONOTONIC: '1',
      NO_FAKE_STAT: '1',
    },
  });
  const { code, stdout, stderr } = await child.finished;
  t.is(code, 0, stderr.slice(-2000));
  const steps = stdout
    .split('\n')
    .filter((line) => line.startsWith('{"step"'))
    .map((line) => stepSchema.parse(JSON.parse(line)));
  const connected = new Map(steps.map((one) => [one.step, one.connected?.join(' ')]));
  t.is(connected.get('first root'), 'json est');
  t.is(connected.get('the issuer of the beginning has ended'), 'json est');
  t.is(connected.get('second root, nobody has renewed'), 'json est');
  t.is(connected.get('new devices with the old and the new fingerprint'), 'old-label new-label');
  t.like(
    steps.find(({ step }) => step === 'both roots are known'),
    { roots: [4, 4, 4, 4] },
  );
  const all = 'json est old-label new-label';
  for (const step of [
    'the first root has ended',
    'the first root is retired',
    'the stolen issuer is withdrawn',
    'all have renewed since the backup',
    'the backup is restored',
    'third root, nobody has renewed',
    'the second root has ended',
  ]) {
    t.is(connected.get(step), all, step);
  }
  t.like(
    steps.find(({ step }) => step === 'stolen issuer'),
    { certificates: 4 },
  );
  const lost = z
    .array(z.string())
    .parse(steps.find(({ step }) => step === 'reconciled')?.['devices']);
  t.deepEqual(
    all.split(' ').filter((device) => !lost.includes(device)),
    [],
    'the backup has none of the new certificates',
  );
});
