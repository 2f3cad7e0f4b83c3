/**
 * Checks a whole state folder without changing it, whether services use it or not.
 *
 * Files that belong together are read in the order that keeps the check right while a service writes: what a
 * service writes last is read first (see registry-check.ts and store-check.ts). While a service runs, findings
 * count only if they are there again at a second look.
 *
 * @module
 */
import { access, readdir } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { checkDirectory } from '../../broker/feed/directory-check.ts';
import { checkStore } from '../../broker/store/store-check.ts';
import type { CertificateFacts } from '../../certs/certificate.ts';
import { amountText } from '../../core/amount-text.ts';
import { systemClock } from '../../core/clock.ts';
import { loadConfig } from '../../core/config/config.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { checkFileAccess } from '../../core/integrity/file-access.ts';
import { FindingList, type StateFinding } from '../../core/integrity/finding.ts';
import { checkLeftovers } from '../../core/integrity/leftover-files.ts';
import { parsePolicy, readPolicyText } from '../../core/policy/policy-file.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { checkCa } from '../../enroll/ca/ca-check.ts';
import { readPassphrase, type Environment } from '../../enroll/ca/passphrase.ts';
import { checkEnrollFiles, type CheckedEnrollFiles } from './enroll-check.ts';
import { checkIdentityFiles } from './identity-check.ts';
import { lossOfEntry } from './directory-comparison.ts';
import { checkRunFiles } from './run-file-check.ts';

/** A part of the state folder that was checked. */
export interface CheckedPart {
  readonly name: string;
  /** What was found there. */
  readonly detail: string;
}

export interface StateReport {
  readonly findings: readonly StateFinding[];
  /** How many findings are not listed, because there are too many. */
  readonly omitted: number;
  readonly checked: readonly CheckedPart[];
}

const attemptsWhileRunning = 3;
const againAfterMs = 1000;

/** @throws FlotillaError `state-missing` */
export async function checkState(state: StateFolder, env: Environment): Promise<StateReport> {
  const names = await readdir(state.root).catch(() => []);
  if (names.length === 0) throw new FlotillaError('state-missing', { detail: state.root });
  for (let left = attemptsWhileRunning; ; left--) {
    const check = new StateCheck(state, env);
    const isRunning = await check.run();
    const { findings, checked } = check;
    if (findings.count === 0 || !isRunning || left <= 1) {
      return { findings: findings.list, omitted: findings.omitted, checked };
    }
    await pause(againAfterMs);
  }
}

class StateCheck {
  readonly findings = new FindingList();
  readonly checked: CheckedPart[] = [];
  readonly #state: StateFolder;
  readonly #env: Environment;
  /** Whether registry and audit log are in a database. */
  #hasDatabase = false;

  constructor(state: StateFolder, env: Environment) {
    this.#state = state;
    this.#env = env;
  }

  /** @returns whether a service may be using the folder */
  async run(): Promise<boolean> {
    const { findings } = this;
    const state = this.#state;
    const running = await checkRunFiles(state, findings);
    const isRunning = running.enroll !== 'ended' || running.broker !== 'ended';
    this.#note('services', `enrollment ${running.enroll}, broker ${running.broker}`);
    const files = await checkFileAccess(state.root, findings);
    await checkLeftovers(state.root, Date.now(), isRunning, findings);
    this.#note('files', `${files} files and folders: modes, owners, temporary files`);
    await this.#checkSettings();
    const authorities = await this.#checkAuthority();
    // Before the registry: a broker learns only what is committed there, and an own identity is committed first.
    const own = await this.#checkIdentities(authorities);
    const directory = await checkDirectory(state.broker.directory, findings);
    if (directory !== undefined)
      this.#note('directory', amountText(directory.size, 'identity', 'identities'));
    const enroll = await this.#checkEnroll(own);
    if (enroll !== undefined && directory !== undefined) {
      for (const entry of directory.values()) {
        const loss = enroll.isIncomplete ? undefined : lossOfEntry(entry, enroll, Date.now());
        if (loss === undefined) continue;
        findings.add('registry-behind-broker', state.enroll.registry, `${entry.id}: ${loss}`);
      }
    }
    const store = await checkStore(state.broker.store, running.broker === 'ended', findings);
    if (store !== undefined) {
      this.#note(
        'store',
        `${amountText(store.sessions, 'session')}, ${amountText(store.retained, 'retained message')}`,
      );
    }
    return isRunning;
  }

  #note(name: string, detail: string): void {
    this.checked.push({ name, detail });
  }

  async #checkSettings(): Promise<void> {
    const { config, policy, broker } = this.#state;
    try {
      const { enroll } = await loadConfig({ file: config, env: this.#env });
      this.#hasDatabase = enroll.database !== undefined;
    } catch (error) {
      this.findings.addError(error, config, 'config-unreadable');
    }
    for (const path of [policy, broker.fleetPolicy]) {
      try {
        const text = await readPolicyText(path);
        if (text !== undefined) parsePolicy(text);
      } catch (error) {
        this.findings.addError(error, path, 'policy-unreadable');
      }
    }
    this.#note('settings', 'configuration and policy');
  }

  async #checkAuthority(): Promise<readonly CertificateFacts[]> {
    const state = this.#state;
    const hasEnroll = (await exists(state.ca.folder)) || (await exists(state.enroll.folder));
    if (!hasEnroll) return [];
    // Problems of the passphrase's file are reported by the check of the modes.
    const passphrase = await readPassphrase(state, this.#env).catch(() => undefined);
    const { certificates, keyCount } = await checkCa(state, passphrase, systemClock, this.findings);
    const keys =
      passphrase === undefined ? 'not decrypted: the passphrase is not here' : 'decrypted';
    this.#note(
      'ca',
      `${amountText(certificates.length, 'certificate')}, ${amountText(keyCount, 'key')} (${keys})`,
    );
    return certificates;
  }

  /** @returns the own certificates by the name of their identity */
  async #checkIdentities(
    authorities: readonly CertificateFacts[],
  ): Promise<ReadonlyMap<string, CertificateFacts>> {
    const { admin, broker, enroll } = this.#state;
    const found = new Map<string, CertificateFacts>();
    const folders = [
      ['admin', admin],
      ['broker', broker.identity],
      ['enrollment', enroll.tls],
      ['broker, RSA', broker.rsaIdentity],
      ['enrollment, RSA', enroll.tlsRsa],
    ] as const;
    for (const [name, folder] of folders) {
      const certificate = await checkIdentityFiles(folder, authorities, this.findings);
      if (certificate !== undefined) found.set(name, certificate);
    }
    this.#note('identities', [...found.keys()].join(', ') || 'none');
    return found;
  }

  async #checkEnroll(
    own: ReadonlyMap<string, CertificateFacts>,
  ): Promise<CheckedEnrollFiles | undefined> {
    if (!(await exists(this.#state.enroll.folder))) return undefined;
    if (this.#hasDatabase) {
      const detail = 'in the database; flotilla audit verify checks the audit log there';
      this.#note('registry', detail);
      return undefined;
    }
    const found = await checkEnrollFiles(this.#state, own, this.findings);
    for (const part of found.parts) this.checked.push(part);
    return found;
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
