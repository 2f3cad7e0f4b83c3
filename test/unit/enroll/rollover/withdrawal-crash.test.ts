import test from 'ava';
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../../../core/clock.ts';
import { checkConfig } from '../../../../core/config/config.ts';
import { Lifecycle } from '../../../../core/lifecycle.ts';
import { silentLog as log } from '../../../../core/log.ts';
import { stateFolder, type StateFolder } from '../../../../core/state-folder.ts';
import { tailAudit } from '../../../../enroll/audit/audit-reader.ts';
import { createCaChanges } from '../../../../enroll/bootstrap/components.ts';
import { initialiseState, openState } from '../../../../enroll/bootstrap/state.ts';
import { createIssuer, issuerFolder } from '../../../../enroll/ca/ca-folder.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

const clock = systemClock;
const config = checkConfig({});
const actor = 'admin';

/** What a crash now leaves on the disk. */
function copyOf(state: StateFolder, to: string): StateFolder {
  cpSync(state.root, to, { recursive: true });
  rmSync(join(stateFolder(to).enroll.registry, 'lock'), { recursive: true, force: true });
  return stateFolder(to);
}

function filesOf({ ca }: StateFolder): string {
  return readdirSync(ca.folder, { recursive: true })
    .map(String)
    .filter((name) => /\.(?:pem|json)$/.test(name))
    .sort()
    .map((name) => `${name} ${readFileSync(join(ca.folder, name), 'utf8')}`)
    .join('\n');
}

test('a withdrawal is durable before brokers learn of it, they learn of it before a key is opened, and a crash at any step is completed at the next start', async (t) => {
  const folder = tempFolder(t);
  const state = stateFolder(join(folder, 'state'));
  await initialiseState(state, config, { log });
  const lifecycle = new Lifecycle();
  const open = await openState(state, config, { log }, lifecycle);
  const { ca, audit } = open;
  const { certificate: stolen } = ca.current;
  const crashes = new Map<string, StateFolder>();
  const order: string[] = [];
  const step = (name: string): void => {
    order.push(name);
    const files = filesOf(state);
    if (!crashes.has(files))
      crashes.set(files, copyOf(state, join(folder, `crash-${crashes.size}`)));
  };
  ca.onChange(() => step(`published ${ca.signs('device') ? 'complete' : 'reduced'}`));
  const append = audit.append.bind(audit);
  audit.append = (event) => {
    step(event.action);
    return append(event);
  };
  const { withdrawal } = createCaChanges({
    ...{ ...open, config, state, clock, log },
    env: {},
    feed: {
      sequence: 1,
      effectOf() {
        step('brokers');
        t.false(ca.pems.includes(stolen.pem));
        t.true(
          existsSync(join(state.ca.withdrawn, issuerFolder(state, stolen.fingerprint).slice(-16))),
        );
        return Promise.resolve({
          ...{ connectionsClosed: 0, brokers: 0, late: 0, lateBrokers: [], absentBrokers: [] },
        });
      },
    },
  });
  const done = await withdrawal.withdraw(stolen.fingerprint, actor);
  await lifecycle.close();
  t.deepEqual(order, [
    'issuer-withdrawn',
    'published reduced',
    'brokers',
    'published complete',
    'published complete',
    'issuer-withdrawal-completed',
  ]);
  t.is(done.replacements.length, 1);

  const [moved] = crashes.values();
  const created = copyOf(moved!, join(folder, 'created'));
  const passphrase = readFileSync(state.ca.passphrase, 'utf8').trim();
  const waiting = await createIssuer(created, passphrase, { clock });
  const recorded = copyOf(moved!, join(folder, 'recorded'));
  const back = issuerFolder(recorded, stolen.fingerprint);
  cpSync(join(recorded.ca.withdrawn, back.slice(-16)), back, { recursive: true });
  rmSync(recorded.ca.withdrawn, { recursive: true });
  const damaged = copyOf(moved!, join(folder, 'damaged'));
  writeFileSync(join(damaged.ca.withdrawn, back.slice(-16), 'withdrawal.json'), '{', {
    mode: 0o600,
  });
  t.is(crashes.size, 3);
  for (const crashed of [...crashes.values(), created, recorded, damaged]) {
    const again = new Lifecycle();
    const { ca: opened } = await openState(crashed, config, { log }, again);
    await again.close();
    t.not(opened.current.certificate.fingerprint, stolen.fingerprint);
    t.deepEqual(
      opened.inventory.withdrawn.map((one) => one.fingerprint),
      [stolen.fingerprint],
    );
    t.is(opened.issuers.length, 2, 'one for devices and one for services');
    if (crashed === created) t.is(opened.current.certificate.fingerprint, waiting.fingerprint);
    t.true(opened.rootCrl(opened.root.fingerprint)?.revoked.has(stolen.serial));
    const lines = await tailAudit(crashed.enroll.audit, 50);
    const line = lines.find(({ action }) => action === 'issuer-withdrawal-completed');
    t.is(line?.actor, crashed === damaged ? 'system' : actor);
    t.false(filesOf(crashed).includes('withdrawal.json'));
  }
});
