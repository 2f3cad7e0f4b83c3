/** The units of deploy/systemd: systemd accepts them, and what they start works. */
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import test from 'ava';
import { loadConfig } from '../../core/config/config.ts';
import { runChild, spawnChild } from '../support/child.ts';
import { anyPorts, flotilla } from '../support/cli.ts';
import { debianTool } from '../support/debian-tool.ts';
import { tempFolder } from '../support/temp-folder.ts';

const folder = 'deploy/systemd';
const units = readdirSync(folder);
const servers = ['flotilla.service', 'flotilla-enroll.service', 'flotilla-broker.service'];
const installed = '/opt/flotilla';

test('there are units for one machine, for separate machines, and for a device', (t) => {
  t.deepEqual(units.sort(), [
    'flotilla-broker.service',
    'flotilla-device-agent.service',
    'flotilla-enroll.service',
    'flotilla-renew.service',
    'flotilla-renew.timer',
    'flotilla.service',
  ]);
});

test('systemd-analyze verify finds nothing wrong with any unit', async (t) => {
  const analyze = debianTool(t, 'systemd-analyze');
  if (analyze === undefined) return;
  const copy = tempFolder(t);
  // The checkout where the units expect it, and a package with the command.
  const checkout = join(copy, 'flotilla');
  mkdirSync(join(checkout, 'node_modules', '.bin'), { recursive: true });
  symlinkSync(process.execPath, join(checkout, 'node_modules', '.bin', 'node'));
  symlinkSync(resolve('cli/flotilla.mjs'), join(checkout, 'node_modules', '.bin', 'flotilla'));
  for (const unit of units) {
    const text = readFileSync(join(folder, unit), 'utf8').replaceAll(installed, checkout);
    writeFileSync(join(copy, unit), text);
  }
  const paths = units.map((unit) => join(copy, unit));
  const done = await runChild(t, analyze, ['verify', '--man=no', ...paths], { timeoutMs: 120_000 });
  const about = done.stderr.split('\n').filter((line) => line.includes('flotilla'));
  t.deepEqual(about, []);
  t.is(done.code, 0, done.stderr);

  writeFileSync(
    join(copy, 'flotilla.service'),
    '[Service]\nExecStart=/no/such/program\nRestrat=always\n',
  );
  const wrong = await runChild(t, analyze, ['verify', '--man=no', join(copy, 'flotilla.service')], {
    timeoutMs: 120_000,
  });
  t.not(wrong.code, 0, 'a wrong unit is found');
});

for (const unit of servers) {
  test(`the command of ${unit} is one that the command line has`, async (t) => {
    const text = readFileSync(join(folder, unit), 'utf8');
    const [, command = ''] =
      /^ExecStart=\/opt\/flotilla\/node_modules\/\.bin\/node cli\/flotilla\.mjs (.+)$/m.exec(
        text,
      ) ?? [];
    const state = tempFolder(t);
    const args = command.replace('/var/lib/flotilla', state).split(' ');
    const done = await flotilla([...args, '--print-config'], {
      FLOTILLA_ENROLL__URL: 'https://a.example',
    });
    t.is(done.code, 0, done.stderr);
    t.regex(done.stdout, /^enroll:/m);
  });
}

test('the command of flotilla.service runs with the passphrase of its credential, and SIGTERM stops it', async (t) => {
  const text = readFileSync(join(folder, 'flotilla.service'), 'utf8');
  const [, command = ''] = /^ExecStart=(.+)$/m.exec(text) ?? [];
  t.regex(text, /^Environment=FLOTILLA_CA_PASSPHRASE_FILE=%d\/ca-passphrase$/m);
  const work = tempFolder(t);
  const [state, passphrase] = [join(work, 'state'), join(work, 'ca-passphrase')];
  writeFileSync(passphrase, 'correct horse battery staple\n', { mode: 0o600 });
  const [node = '', ...args] = command
    .replace(`${installed}/node_modules/.bin/node`, process.execPath)
    .replace('/var/lib/flotilla', state)
    .split(' ');
  const child = spawnChild(t, node, [...args, ...anyPorts, '--json'], {
    env: { FLOTILLA_CA_PASSPHRASE_FILE: passphrase },
    timeoutMs: 200_000,
  });
  t.regex(await child.line(() => true, 120_000), /"event":"ready"/);
  t.false(readdirSync(join(state, 'ca')).includes('passphrase'));
  t.is((await child.stop('SIGTERM')).code, 0);
});

test('the exposure of every server unit is below 3', async (t) => {
  const analyze = debianTool(t, 'systemd-analyze');
  if (analyze === undefined) return;
  for (const unit of servers) {
    const path = resolve(folder, unit);
    const args = ['security', '--offline=true', '--no-pager'];
    const done = await runChild(t, analyze, [...args, '--threshold=30', path]);
    const [, exposure] = /Overall exposure level for \S+: ([\d.]+)/.exec(done.stdout) ?? [];
    t.log(`${unit}: exposure ${exposure ?? 'unknown'}`);
    t.is(done.code, 0, done.stdout);
    t.true(Number(exposure) < 3);
  }
});

test('every server unit reports to systemd, is watched, reloads, and has a limit above the connections', async (t) => {
  const config = await loadConfig();
  for (const unit of servers) {
    const text = readFileSync(join(folder, unit), 'utf8');
    t.regex(text, /^Type=notify$/m, unit);
    t.regex(text, /^NotifyAccess=all$/m, unit);
    t.regex(text, /^WatchdogSec=\d+$/m, unit);
    t.regex(text, /^ExecReload=\/bin\/kill -HUP \$MAINPID$/m, unit);
    const [, files] = /^LimitNOFILE=(\d+)$/m.exec(text) ?? [];
    const { broker, enroll } = config.limits;
    const limits = unit === 'flotilla-enroll.service' ? enroll : broker;
    t.true(Number(files) > limits.connectionsMax, unit);
  }
});

test('the units of a device run commands that the command line has, and leave a wrong folder to the operator', async (t) => {
  for (const unit of ['flotilla-device-agent.service', 'flotilla-renew.service']) {
    const text = readFileSync(join(folder, unit), 'utf8');
    const [, command = ''] = /^ExecStart=\S+\/flotilla (.+)$/m.exec(text) ?? [];
    const args = command.replace('/var/lib/device', tempFolder(t)).split(' ');
    const done = await flotilla(args);
    t.is(done.code, 2, unit);
    t.regex(done.stderr, /\[identity-unreadable\]/, unit);
  }
});
