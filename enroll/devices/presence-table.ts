/**
 * Which devices are connected, as brokers report it. In memory: brokers report it again after a restart.
 *
 * When a certificate is used for a connection for the first time, the older certificates of its identity are
 * retired if the profile demands it. This ends the overlap of a renewal.
 *
 * @module
 */
import { AgeMap } from '../../core/age-map.ts';
import type { Config } from '../../core/config/config.ts';
import type { DeviceId } from '../../core/device-id.ts';
import type { Denied, Presence as PresenceReport } from '../../core/protocol/feed.ts';
import { profileOrDefault } from '../enrollment/profiles.ts';
import type { CertificateRecord } from '../registry/records.ts';
import { retryOnConflict, type Registry } from '../registry/registry.ts';
import { SeenIdentities } from './seen-identities.ts';

/** How many identities are kept in memory; more only if they are connected. */
const seenMax = 2_000_000;
/** How many identities with denied actions are kept in memory. */
const deniedMax = 100_000;

export interface DeniedSummary {
  readonly count: number;
  readonly last: Denied['last'];
}

export interface PresenceTableDeps {
  readonly registry: Registry;
  readonly config: Config;
}

export class PresenceTable {
  readonly #registry: Registry;
  readonly #config: Config;
  readonly #seen = new SeenIdentities(seenMax);
  readonly #denied = new AgeMap<DeviceId, DeniedSummary>();
  #connected = 0;
  readonly #watchers = new Set<(broker: DeviceId, presence: PresenceReport) => void>();

  constructor({ registry, config }: PresenceTableDeps) {
    this.#registry = registry;
    this.#config = config;
  }

  /** How many identities are connected. */
  get connectedCount(): number {
    return this.#connected;
  }

  isConnected(id: DeviceId): boolean {
    return (this.#seen.get(id)?.brokers.size ?? 0) > 0;
  }

  lastSeenAtMs(id: DeviceId): number | null {
    return this.#seen.get(id)?.lastSeenAtMs ?? null;
  }

  /** The brokers to which an identity is connected. */
  brokersOf(id: DeviceId): readonly DeviceId[] {
    return [...(this.#seen.get(id)?.brokers ?? [])];
  }

  /** Calls for each connection and disconnection that is reported. A listener must not throw. */
  watch(listener: (broker: DeviceId, presence: PresenceReport) => void): () => void {
    this.#watchers.add(listener);
    return () => this.#watchers.delete(listener);
  }

  deniedOf(id: DeviceId): DeniedSummary {
    return this.#denied.get(id) ?? { count: 0, last: [] };
  }

  /** Processes a broker's report of connections, disconnections and denials. */
  async take(
    broker: DeviceId,
    reports: readonly PresenceReport[],
    denied: readonly Denied[],
  ): Promise<void> {
    const known = await this.#known(reports);
    for (const { id, connected, atMs } of known) {
      const seen = this.#seen.entry(id);
      seen.lastSeenAtMs = Math.max(seen.lastSeenAtMs, atMs);
      const before = seen.brokers.size;
      if (connected) seen.brokers.add(broker);
      else seen.brokers.delete(broker);
      this.#connected += Math.sign(seen.brokers.size) - Math.sign(before);
    }
    for (const watcher of this.#watchers) for (const one of known) watcher(broker, one);
    for (const { id, count, last } of denied) {
      if ((await this.#registry.get('devices', id)) === undefined) continue;
      const before = this.deniedOf(id);
      this.#denied.renew(id, {
        count: before.count + count,
        last: [...before.last, ...last].slice(-10),
      });
      const oldest = this.#denied.size > deniedMax ? this.#denied.oldestKey() : undefined;
      if (oldest !== undefined) this.#denied.delete(oldest);
    }
    // A report has only the last state of an identity: one that connected and left meanwhile was seen as well.
    for (const { id, serial, atMs } of known) await this.#firstSeen(id, serial, atMs);
  }

  /**
   * The reports about identities of the registry, and about the end of those that were deleted. The key of a broker may
   * be stolen: names that it invents would fill the memory and displace the others.
   */
  async #known(reports: readonly PresenceReport[]): Promise<readonly PresenceReport[]> {
    const known: PresenceReport[] = [];
    for (const report of reports) {
      const isKnown = (await this.#registry.get('devices', report.id)) !== undefined;
      if (isKnown || this.#seen.get(report.id) !== undefined) known.push(report);
    }
    return known;
  }

  /** Removes all connections of a broker that is gone. */
  forget(broker: DeviceId): void {
    for (const { brokers } of this.#seen.values()) {
      if (brokers.delete(broker) && brokers.size === 0) this.#connected--;
    }
  }

  /** Marks a certificate as seen and retires those before it. Done once per certificate. */
  async #firstSeen(id: DeviceId, serial: string, atMs: number): Promise<void> {
    await retryOnConflict(async () => {
      const row = await this.#registry.get('devices', id);
      const at = row?.certificates.findIndex((certificate) => certificate.serial === serial) ?? -1;
      const certificate = row?.certificates[at];
      // A service may run in several places, each with its own certificate.
      if (row?.role !== 'device' || certificate === undefined) return;
      if (certificate.seenAtMs !== undefined || certificate.status !== 'active') return;
      const older = row.certificates.slice(0, at).filter(({ status }) => status === 'active');
      // There is no older certificate to retire: this is not worth a commit for each new device.
      if (older.length === 0) return;
      const { overlap } = profileOrDefault(this.#config, row.profile);
      const retires = overlap === 'until-seen';
      const { version, ...record } = row;
      const certificates = record.certificates.map((one, place): CertificateRecord =>
        place === at
          ? { ...one, seenAtMs: atMs }
          : retires && place < at && one.status === 'active'
            ? { ...one, status: 'retired', retiredAtMs: atMs }
            : one,
      );
      await this.#registry.commit({
        puts: [{ table: 'devices', record: { ...record, certificates }, expected: version }],
        events: retires
          ? older.map((one) => ({
              action: 'certificate-retired' as const,
              actor: 'system',
              device: id,
              detail: { serial: one.serial, by: serial },
            }))
          : [],
      });
    });
  }
}
