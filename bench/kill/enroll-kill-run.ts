/**
 * Kills an enrollment service (`kill -9`) again and again under load, and compares what it acknowledged with its
 * registry, its audit log and the directory of a broker that follows it all the time.
 *
 * @module
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { DirectoryFile } from '../../broker/feed/directory-file.ts';
import type { DirectoryEntry } from '../../core/protocol/feed.ts';
import { identityFiles, stateFolder } from '../../core/state-folder.ts';
import { tailAudit, verifyAudit } from '../../enroll/audit/audit-reader.ts';
import type { AuditLine } from '../../enroll/audit/audit-event.ts';
import { openRegistry } from '../enroll/bench-service.ts';
import { freePort } from '../brokers.ts';
import { enrollReady, readyLine, runFlotilla, type Running } from '../siege/fleet-services.ts';
import { EnrollClient, type DeviceLedger, type EnrollTarget } from './enroll-client.ts';

export interface EnrollKillPlan {
  /** An empty folder for state and logs. */
  readonly folder: string;
  readonly kills: number;
  /** Devices that enroll at the same time. */
  readonly workers: number;
  /** The service lives for a random time between these before each kill, in ms. */
  readonly lifeMinMs: number;
  readonly lifeMaxMs: number;
  readonly random: () => number;
  /** Called with a line of text after each kill. */
  readonly report: (line: string) => void;
}

export interface EnrollKillResult {
  readonly kills: number;
  readonly devices: number;
  /** Acknowledged: */
  readonly certificates: number;
  readonly renewals: number;
  readonly revocations: number;
  /** What is wrong; empty if nothing is. */
  readonly faults: readonly string[];
  /** From the start of the process to its first line, in ms. */
  readonly restartMaxMs: number;
}

/** One token of so many is tried with another key at the end. */
const stealEvery = 5;
const settleMaxMs = 120_000;
/** All clients have one address, so the limits for an address do not apply. */
const settings = `limits:
  enroll:
    requestsPerAddressPerSecond: 1000000
    failuresPerAddressPerMinute: 1000000
    signaturesPerSecond: 1000000
`;

export async function runEnrollKills(plan: EnrollKillPlan): Promise<EnrollKillResult> {
  const run = new EnrollKillRun(plan, await freePort());
  try {
    return await run.run();
  } finally {
    await run.close();
  }
}

class EnrollKillRun {
  readonly #plan: EnrollKillPlan;
  readonly #port: number;
  readonly #state: ReturnType<typeof stateFolder>;
  readonly #clients: EnrollClient[] = [];
  readonly #faults: string[] = [];
  #target: EnrollTarget | undefined;
  #service: Running | undefined;
  #broker: Running | undefined;
  #isLoading = true;
  #restartMaxMs = 0;

  constructor(plan: EnrollKillPlan, port: number) {
    this.#plan = plan;
    this.#port = port;
    this.#state = stateFolder(join(plan.folder, 'state'));
  }

  async run(): Promise<EnrollKillResult> {
    const { kills, workers, lifeMinMs, lifeMaxMs, random, report } = this.#plan;
    await mkdir(this.#state.root, { mode: 0o700 });
    await writeFile(join(this.#state.root, 'flotilla.yaml'), settings, { mode: 0o600 });
    const url = await this.#start();
    await this.#startBroker(url);
    const files = identityFiles(this.#state.admin);
    const [ca = '', cert = '', key = ''] = await Promise.all(
      [files.ca, files.chain, files.key].map((path) => readFile(path, 'utf8')),
    );
    const unexpected = (what: string): void =>
      void this.#faults.push(`unexpected response: ${what}`);
    this.#target = { url, admin: { ca, cert, key }, unexpected };
    const load = Array.from({ length: workers }, () => this.#load());
    for (let kill = 1; kill <= kills; kill++) {
      await pause(lifeMinMs + random() * (lifeMaxMs - lifeMinMs));
      await this.#kill();
      await this.#start();
      report(
        `kill ${kill}: ${this.#clients.length} devices, restart at most ${this.#restartMaxMs} ms`,
      );
    }
    this.#isLoading = false;
    await Promise.all(load);
    report('the load has ended');
    await this.#verify();
    const ledgers = this.#clients.map(({ ledger }) => ledger);
    const count = (of: (ledger: DeviceLedger) => number): number =>
      ledgers.reduce((sum, ledger) => sum + of(ledger), 0);
    return {
      kills,
      devices: ledgers.length,
      certificates: count(({ serials }) => Math.min(1, serials.length)),
      renewals: count(({ serials }) => Math.max(0, serials.length - 1)),
      revocations: count(({ revoked }) => Number(revoked)),
      faults: this.#faults,
      restartMaxMs: this.#restartMaxMs,
    };
  }

  async close(): Promise<void> {
    this.#isLoading = false;
    for (const running of [this.#broker, this.#service]) {
      if (running === undefined || hasEnded(running)) continue;
      running.child.kill('SIGTERM');
      await once(running.child, 'exit');
    }
  }

  async #start(): Promise<string> {
    const startMs = performance.now();
    const service = this.#flotilla('enroll', ['--https-port', String(this.#port)]);
    this.#service = service;
    const { https } = await readyLine(service, enrollReady);
    this.#restartMaxMs = Math.max(this.#restartMaxMs, Math.round(performance.now() - startMs));
    return https.url;
  }

  async #kill(): Promise<void> {
    const child = this.#service?.child;
    if (child === undefined || child.exitCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  async #startBroker(url: string): Promise<void> {
    const ports = ['--mqtts-port', '0', '--wss-port', '0', '--enroll-url', url];
    const broker = this.#flotilla('broker', ports);
    this.#broker = broker;
    await readyLine(broker, enrollReady.partial());
  }

  #flotilla(what: 'enroll' | 'broker', args: readonly string[]): ReturnType<typeof runFlotilla> {
    const common = ['--state', this.#state.root, '--metrics-port', '0', '--json'];
    return runFlotilla(this.#plan.folder, what, undefined, [what, 'serve', ...args, ...common]);
  }

  async #load(): Promise<void> {
    const { random } = this.#plan;
    while (this.#isLoading && this.#target !== undefined) {
      const client = new EnrollClient(this.#target, `k-${this.#clients.length}`);
      this.#clients.push(client);
      await client.run(random() < 0.5, random() < 0.3);
    }
  }

  async #verify(): Promise<void> {
    for (const [at, client] of this.#clients.entries()) {
      if (at % stealEvery === 0 && (await client.stealWithToken())) {
        this.#faults.push(`${client.ledger.id}: its token gave a second certificate`);
      }
    }
    await this.#verifyDirectory();
    await this.close();
    await this.#verifyRegistry();
    const { audit } = this.#state.enroll;
    const verdict = await verifyAudit(audit);
    if (!verdict.ok) this.#faults.push(`audit verify: ${verdict.detail}`);
    this.#verifyAuditLines(await tailAudit(audit, Number.MAX_SAFE_INTEGER));
    const check = runFlotilla(this.#plan.folder, 'check', undefined, [
      ...['check', '--state', this.#state.root, '--json'],
    ]);
    if (check.child.exitCode === null) await once(check.child, 'exit');
    if (check.child.exitCode !== 0) this.#faults.push(readFileSync(check.outPath, 'utf8'));
  }

  async #verifyRegistry(): Promise<void> {
    const registry = await openRegistry(this.#state);
    try {
      for (const { ledger } of this.#clients) {
        const row = await registry.get('devices', ledger.id);
        this.#compare('registry', ledger, row?.status, row?.certificates ?? []);
        const most = ledger.serials.length + ledger.renewalsUnanswered;
        if ((row?.certificates.length ?? 0) > Math.max(1, most)) {
          this.#faults.push(`${ledger.id}: the registry has more certificates than were requested`);
        }
      }
    } finally {
      await registry.close();
    }
  }

  /** Waits until the broker has saved what the service acknowledged. */
  async #verifyDirectory(): Promise<void> {
    const untilMs = performance.now() + settleMaxMs;
    for (;;) {
      const saved = await new DirectoryFile(this.#state.broker.directory).read();
      const before = this.#faults.length;
      for (const { ledger } of this.#clients) {
        const entry: DirectoryEntry | undefined = saved?.entries.get(ledger.id);
        this.#compare('directory', ledger, entry?.status, entry?.certificates ?? []);
      }
      if (this.#faults.length === before || performance.now() > untilMs) return;
      this.#faults.length = before;
      await pause(1000);
    }
  }

  #compare(
    where: string,
    { id, serials, revoked }: DeviceLedger,
    status: string | undefined,
    certificates: readonly { readonly serial: string; readonly status: string }[],
  ): void {
    if (serials.length === 0) return;
    for (const serial of serials) {
      const found = certificates.find((one) => one.serial === serial);
      if (found === undefined) this.#faults.push(`${id}: ${serial} is not in the ${where}`);
      else if (revoked && found.status === 'active') {
        this.#faults.push(`${id}: ${serial} was revoked and is active in the ${where}`);
      }
    }
    if (revoked && status !== 'revoked')
      this.#faults.push(`${id}: ${status ?? 'missing'} in the ${where}`);
  }

  #verifyAuditLines(lines: readonly AuditLine[]): void {
    const issued = new Map<string, number>();
    const serials = new Set<string>();
    const revoked = new Set<string>();
    for (const { action, device = '', detail } of lines) {
      if (action === 'certificate-issued') issued.set(device, (issued.get(device) ?? 0) + 1);
      if (action === 'certificate-issued' || action === 'certificate-renewed') {
        serials.add(String(detail?.['serial'] ?? ''));
      }
      if (action === 'device-revoked') revoked.add(device);
    }
    for (const { ledger } of this.#clients) {
      const { id } = ledger;
      if ((issued.get(id) ?? 0) > 1)
        this.#faults.push(`${id}: two first certificates in the audit log`);
      if (ledger.revoked && !revoked.has(id)) this.#faults.push(`${id}: no line of its revocation`);
      for (const serial of ledger.serials) {
        if (!serials.has(serial)) this.#faults.push(`${id}: no line of certificate ${serial}`);
      }
    }
  }
}

function hasEnded({ child }: Running): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}
