/** The last weeks of a root and the time after its end, on an imitated clock. */
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { systemClock } from '../../core/clock.ts';
import { dayMs } from '../../core/config/duration.ts';
import { checkConfig } from '../../core/config/config.ts';
import { Lifecycle } from '../../core/lifecycle.ts';
import { silentLog } from '../../core/log.ts';
import type { CaStatus } from '../../core/protocol/ca-status.ts';
import { stateFolder } from '../../core/state-folder.ts';
import { initialiseState } from '../../enroll/bootstrap/state.ts';
import { openStoppedCa, type StoppedCa } from '../../enroll/bootstrap/stopped-ca.ts';
import { caReport } from '../../enroll/ca/ca-report.ts';
import { activateIssuer, createIssuer, newIssuer } from '../../enroll/ca/ca-folder.ts';
import { readPassphrase } from '../../enroll/ca/passphrase.ts';
import { openRoot } from '../../enroll/ca/root-authority.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { fleetWorld } from '../support/fleet-world.ts';
import { tempFolder } from '../support/temp-folder.ts';

function installation(t: ExecutionContext) {
  const state = stateFolder(join(tempFolder(t), 'state'));
  const config = checkConfig({});
  const begun = Date.now();
  const clock = fakeClock(begun);
  const deps = { clock, log: silentLog, env: {} };
  return {
    onDay: (day: number) => clock.jump(begun + day * dayMs - clock.now()),
    start: () => initialiseState(state, config, deps),
    report: () => caReport(state, clock.now()),
    /** A command while the service is stopped. */
    async command(run: (ca: StoppedCa) => Promise<unknown>): Promise<void> {
      const lifecycle = new Lifecycle();
      await run(await openStoppedCa(state, config, deps, lifecycle)).finally(() =>
        lifecycle.close(),
      );
    },
    signing: async (): Promise<CaStatus['issuers']> =>
      (await caReport(state, clock.now())).issuers.filter(({ current }) => current),
    isValid: ({ notBefore, notAfter }: { notBefore: string; notAfter: string }) =>
      Date.parse(notBefore) <= clock.now() && clock.now() < Date.parse(notAfter),
  };
}

test('starts near the end of the root create no issuers that would end with those that sign', async (t) => {
  const here = installation(t);
  await here.start();
  here.onDay(9120);
  await here.start();
  const { issuers, root } = await here.report();
  t.is(issuers.length, 4, 'the first ones have ended');
  for (const { notAfter } of await here.signing()) t.is(notAfter, root.notAfter);
  for (const day of [9121, 9126, 9130]) {
    here.onDay(day);
    await here.start();
  }
  t.deepEqual((await here.report()).issuers, issuers);
});

test('an issuer that waited until it ended does not become the current one', async (t) => {
  const here = installation(t);
  await here.start();
  here.onDay(4384);
  await here.start();
  // The clock is set back: the newer issuer begins later than the one that signs.
  here.onDay(4382);
  await here.command(({ changes }) => changes.issuers.introduce('admin'));
  here.onDay(4384 + 4400);
  await here.start();
  const signing = await here.signing();
  t.deepEqual(signing.map(({ purpose }) => purpose).sort(), ['devices', 'services']);
  t.true(signing.every(here.isValid));
});

test('when the root has ended, a start says so, and the next root can be created and signs its lists', async (t) => {
  const here = installation(t);
  await here.start();
  here.onDay(9200);
  const error = await t.throwsAsync(here.start());
  t.like(error, { code: 'root-expired' });
  await t.throwsAsync(
    here.command(({ changes }) => changes.issuers.introduce('admin')),
    { code: 'root-expired' },
  );
  await here.command(({ changes }) => changes.roots.rollOver('admin'));
  await here.start();
  t.true((await here.signing()).every(here.isValid));
  await here.command(({ changes }) => changes.withdrawal.signLists('admin'));
  const { checks } = await here.report();
  t.deepEqual(
    checks.filter(({ ok }) => !ok),
    [],
  );
});

test('devices of a former root connect although many older issuers were never retired', async (t) => {
  const world = await fleetWorld(t);
  const { state } = world.enroll;
  const passphrase = await readPassphrase(state, {});
  const older = { clock: fakeClock(Date.now() - 60_000) };
  const root = await openRoot(state, passphrase, older);
  for (let made = 0; made < 20; made++) {
    await newIssuer(state, passphrase, root, older, 'services');
  }
  const deps = { clock: systemClock };
  const issuer = await createIssuer(state, passphrase, deps, 'devices');
  await activateIssuer(state, issuer.fingerprint, 'devices');
  world.enroll = await world.enroll.restart();
  await world.restartBroker();
  const before = await world.device('d-1');
  t.is((await world.enroll.asAdmin('POST', '/v1/roots', {})).status, 201);
  const after = await world.device('d-2');
  for (const [clientId, shown] of [
    ['d-1', before],
    ['d-2', after],
  ] as const) {
    t.true((await world.mqtt(shown, { clientId })).connected, clientId);
  }
});
