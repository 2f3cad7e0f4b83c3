/**
 * The state folder of the enrollment service: creates what is missing, and opens what exists.
 *
 * @module
 */
import { makeSecretFolder } from '../../core/atomic-file.ts';
import { systemClock, type Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { Lifecycle } from '../../core/lifecycle.ts';
import type { Logger } from '../../core/log.ts';
import { releasedAtMs } from '../../core/package-version.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { authorityUrls } from '../ca/authority-urls.ts';
import { assertCaCreatable } from '../ca/ca-creation-guard.ts';
import { createCa, hasCa, openCa } from '../ca/ca-folder.ts';
import { CertificateAuthority } from '../ca/certificate-authority.ts';
import { readCaInventory } from '../ca/ca-inventory.ts';
import { upkeepCa, type AddedIssuer } from '../ca/ca-upkeep.ts';
import { closeWithdrawal, openWithdrawals } from '../ca/issuer-withdrawal-record.ts';
import { ExternalCa } from '../ca/external-ca.ts';
import { makePassphrase, readPassphrase, type Environment } from '../ca/passphrase.ts';
import type { DatabaseTerm } from '../../core/database/database-term.ts';
import { assertDatabaseNew, beginTerm, openDatabaseStorage } from './database-storage.ts';
import { openFileStorage, type EnrollStorage } from './file-storage.ts';
import {
  ensureOwnIdentities,
  ensureServerIdentities,
  restoreOwnIdentity,
  type OwnName,
} from './own-identities.ts';
import { needsDeviceServers } from '../enrollment/profiles.ts';

export interface StateDeps {
  readonly clock?: Clock;
  readonly log: Logger;
  /** The environment that may contain a passphrase (default: that of the process). */
  readonly env?: Environment;
  /** An identity of the state folder that is issued again although an operator took its rights away. */
  readonly restore?: OwnName | undefined;
  /** Whether the identity of a broker is created, for one that runs on this state folder (default: yes). */
  readonly newBroker?: boolean | undefined;
  /**
   * Whether the service starts next and completes an existing state folder itself: opening a large registry takes many
   * seconds, and once is enough (default: no).
   */
  readonly isStarting?: boolean | undefined;
  /** What an operator accepts as lost: changes of the registry, or the audit log. */
  readonly acceptLoss?: 'registry' | 'audit' | undefined;
  /** The term in the configured database, if it has begun already (default: it begins now, and ends with the rest). */
  readonly database?: DatabaseTerm | undefined;
}

/** What the service holds open. */
export interface OpenState extends EnrollStorage {
  readonly ca: CertificateAuthority;
  /** Signs certificates of devices, if its issuer is the current one. */
  readonly external: ExternalCa | undefined;
  /** The issuers that were created because others have ended, or are missing. */
  readonly added: readonly AddedIssuer[];
}

/**
 * Creates what is missing: the CA, the service's own server certificate, and the identities of the
 * administrator and the broker with their rows in the registry. Renews those whose renewal is due. Everything
 * else stays as it is.
 *
 * @throws FlotillaError `ca-passphrase-missing`, `ca-passphrase-wrong`, `registry-locked`, `root-expired`,
 *   `file-write-failed`, …
 */
export async function initialiseState(
  state: StateFolder,
  config: Config,
  deps: StateDeps,
): Promise<{ fingerprint: string; created: boolean }> {
  const { clock = systemClock, log, env = process.env } = deps;
  await makeSecretFolder(state.root);
  const lifecycle = new Lifecycle();
  return lifecycle.guard(async () => {
    const database = deps.database ?? (await ownTerm(state, config, log, lifecycle));
    const created = !(await hasCa(state));
    if (created) {
      await assertCaCreatable(state);
      if (database !== undefined) await assertDatabaseNew(database);
      assertClockSet(clock.now());
      const passphrase = await makePassphrase(state, env);
      await createCa(state, passphrase, { clock, urls: authorityUrls(config) });
    }
    if (!created && deps.isStarting === true) {
      const { root } = await readCaInventory(state);
      await lifecycle.close();
      return { fingerprint: root.fingerprint, created };
    }
    const open = await openState(state, config, { ...deps, database }, lifecycle);
    await completeState(state, config, deps, open);
    const { fingerprint } = open.ca;
    await lifecycle.close();
    return { fingerprint, created };
  });
}

/**
 * Creates the service's own certificates and identities that are missing, and renews those that are due.
 *
 * @throws FlotillaError `root-expired`, `file-write-failed`, `registry-unavailable`
 */
export async function completeState(
  state: StateFolder,
  config: Config,
  { clock = systemClock, log, restore, newBroker = true }: StateDeps,
  { ca, registry }: OpenState,
): Promise<void> {
  const { root } = ca.inventory;
  if (clock.now() >= root.notAfterMs) {
    throw new FlotillaError('root-expired', { detail: root.fingerprint });
  }
  const own = { state, config, clock, log, ca, registry };
  await ensureServerIdentities(own);
  if (restore !== undefined) await restoreOwnIdentity(restore, own);
  await ensureOwnIdentities({ ...own, newBroker });
}

/**
 * A gateway without a battery for its clock starts in 1970: a CA that begins then has ended when the time is right.
 *
 * @throws FlotillaError `clock-before-release`
 */
function assertClockSet(nowMs: number): void {
  if (nowMs >= releasedAtMs) return;
  throw new FlotillaError('clock-before-release', {
    detail: `${new Date(nowMs).toISOString()} is before ${new Date(releasedAtMs).toISOString()}`,
  });
}

/** Begins a term that ends with the lifecycle, if a database is configured. */
async function ownTerm(
  state: StateFolder,
  config: Config,
  log: Logger,
  lifecycle: Lifecycle,
): Promise<DatabaseTerm | undefined> {
  const term = await beginTerm(state, config, log);
  if (term !== undefined) lifecycle.add('database', () => term.close());
  return term;
}

/** Opens CA, audit log and registry; `lifecycle` closes them. */
export async function openState(
  state: StateFolder,
  config: Config,
  { clock = systemClock, log, env = process.env, acceptLoss, database }: StateDeps,
  lifecycle: Lifecycle,
): Promise<OpenState> {
  const passphrase = await readPassphrase(state, env);
  const caDeps = { clock, urls: authorityUrls(config) };
  const withdrawals = await openWithdrawals(state);
  const added = await upkeepCa(state, passphrase, caDeps, log, {
    deviceServers: needsDeviceServers(config),
  });
  const opened = await openCa(state, passphrase, caDeps);
  const ca = new CertificateAuthority(opened);
  const external = await ExternalCa.open(config, clock);
  const term = database ?? (await ownTerm(state, config, log, lifecycle));
  const storageDeps = { clock, log, acceptLoss };
  const storage =
    term === undefined
      ? await openFileStorage(state, storageDeps, lifecycle)
      : await openDatabaseStorage(state, ca, term, storageDeps, lifecycle);
  const { registry, audit } = storage;
  if (acceptLoss !== undefined) {
    await registry.commit({
      events: [{ action: 'loss-accepted', actor: 'system', detail: { what: acceptLoss } }],
    });
  }
  for (const { issuer, purpose } of added) {
    const detail = { fingerprint: issuer.fingerprint, purpose };
    await audit.append({ action: 'issuer-added', actor: 'system', detail });
  }
  // What a crash has left of a withdrawal: opening the CA has replaced the issuer, and listed it as revoked.
  for (const { fingerprint, actor } of opened.inventory.unsigned.length === 0 ? withdrawals : []) {
    const detail = { fingerprint, completed: 'at a start of the service' };
    await audit.append({ action: 'issuer-withdrawal-completed', actor, detail });
    await closeWithdrawal(state, fingerprint);
  }
  return { ...storage, ca, external, added };
}
