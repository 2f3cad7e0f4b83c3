/**
 * Names in the certificates of brokers and of other servers, as `service create` issued them. No device may have them.
 *
 * @module
 */
import type { SubjectNames } from '../../certs/subject-names.ts';
import type { Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import { serverNames } from '../ca/server-names.ts';
import type { CertificateRecord, DeviceRecord } from '../registry/records.ts';
import type { Committed, Registry } from '../registry/registry.ts';
import type { EnrollmentProfile } from './profiles.ts';

/** The names that no device may have. */
export interface ReservedNames {
  has(kind: keyof SubjectNames, name: string): boolean;
}

export interface ServiceNamesDeps {
  readonly registry: Registry;
  readonly config: Config;
  readonly clock: Clock;
}

export class ServiceNames {
  readonly #deps: ServiceNamesDeps;
  /** The certificates with names, by identity: as many as there are brokers and servers in the registry. */
  readonly #certificates = new Map<string, readonly CertificateRecord[]>();
  /** The names of those that are valid, until the first of them ends or one changes. */
  #valid: { readonly names: ReadonlySet<string>; readonly untilMs: number } | undefined;
  #read: Promise<void> | undefined;
  #unwatch: () => void = () => undefined;

  constructor(deps: ServiceNamesDeps) {
    this.#deps = deps;
  }

  /**
   * The names of the configuration, and those of all brokers and servers whose certificates are valid; none for a profile
   * that allows no names. The first call for another profile reads every identity.
   */
  async reservedFor({ serverNames: allowed }: EnrollmentProfile): Promise<ReservedNames> {
    if (allowed === null) return { has: () => false };
    this.#read ??= this.#readAll().catch((error: unknown) => {
      this.#read = undefined;
      throw error;
    });
    await this.#read;
    const issued = this.#issued();
    const own = serverNames(this.#deps.config);
    return { has: (kind, name) => own[kind].includes(name) || issued.has(name) };
  }

  #issued(): ReadonlySet<string> {
    const now = this.#deps.clock.now();
    if (this.#valid !== undefined && now < this.#valid.untilMs) return this.#valid.names;
    const valid = [...this.#certificates.values()]
      .flat()
      .filter(({ notAfterMs }) => now < notAfterMs);
    const names = new Set(valid.flatMap(({ names: some = [] }) => some));
    const untilMs = valid.reduce((end, { notAfterMs }) => Math.min(end, notAfterMs), Infinity);
    this.#valid = { names, untilMs };
    return names;
  }

  async #readAll(): Promise<void> {
    const { registry } = this.#deps;
    // Rows that change while the others are read keep their newer state.
    const touched = new Set<string>();
    let isReading = true;
    this.#unwatch();
    this.#unwatch = registry.watch(({ puts, deletions }: Committed) => {
      for (const { table, record } of puts) {
        if (table !== 'devices') continue;
        this.#take(record);
        if (isReading) touched.add(record.id);
      }
      for (const { table, key } of deletions) {
        if (table !== 'devices') continue;
        this.#put(key, []);
        if (isReading) touched.add(key);
      }
    });
    for await (const row of registry.rows('devices')) if (!touched.has(row.id)) this.#take(row);
    isReading = false;
    touched.clear();
  }

  #take({ id, role, certificates }: DeviceRecord): void {
    if (role !== 'broker' && role !== 'server') return;
    const named = certificates.filter(
      ({ status, names }) => status === 'active' && names !== undefined,
    );
    this.#put(id, named);
  }

  #put(id: string, named: readonly CertificateRecord[]): void {
    if (named.length === 0 && !this.#certificates.delete(id)) return;
    if (named.length > 0) this.#certificates.set(id, named);
    this.#valid = undefined;
  }
}
