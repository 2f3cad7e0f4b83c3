/**
 * Brokers on two machines that share a database: one is active, the other one waits. Each start is on the other machine
 * than the one before, and begins without the local index of the store.
 *
 * @module
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { stateFolder } from '../../core/state-folder.ts';
import { writeBenchState } from '../bench-state.ts';
import { startBenchBroker, type BenchBroker } from '../brokers.ts';
import type { RunCertificates } from '../certificates.ts';

export class TwoMachines {
  readonly #machines: readonly RunCertificates[];
  readonly #port: number;
  readonly #env: Readonly<Record<string, string>>;
  readonly #closing = new AbortController();
  #starts = 0;
  #standby: Promise<BenchBroker> | undefined;

  private constructor(machines: readonly RunCertificates[], port: number, database: string) {
    this.#machines = machines;
    this.#port = port;
    this.#env = { FLOTILLA_BENCH_DATABASE: database };
  }

  /** @param database the URL of an empty database */
  static async make(
    certificates: RunCertificates,
    port: number,
    database: string,
  ): Promise<TwoMachines> {
    const machines = ['first', 'second'].map((name) => ({
      ...certificates,
      folder: join(certificates.folder, name),
    }));
    for (const machine of machines) {
      await mkdir(machine.folder);
      await writeBenchState(machine);
    }
    return new TwoMachines(machines, port, database);
  }

  /** Resolves when the standby of the previous start is active, and starts the next standby. */
  readonly start = async (): Promise<BenchBroker> => {
    const next = this.#standby ?? this.#startOne();
    const active = await next;
    this.#standby = this.#startOne();
    this.#standby.catch(() => undefined);
    return active;
  };

  /** Kills all of them. */
  close(): void {
    this.#closing.abort();
  }

  async #startOne(): Promise<BenchBroker> {
    const machine = this.#machines[this.#starts++ % this.#machines.length];
    if (machine === undefined) throw new Error('there is no machine');
    const { storeIndex } = stateFolder(join(machine.folder, 'state')).broker;
    for (const end of ['', '-wal', '-shm']) await rm(storeIndex + end, { force: true });
    return startBenchBroker('flotilla', machine, this.#port, [], {
      env: this.#env,
      signal: this.#closing.signal,
    });
  }
}
