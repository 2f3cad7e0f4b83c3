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
  readonly #ports: readonly number[];
  readonly #env: Readonly<Record<string, string>>;
  readonly #closing = new AbortController();
  #starts = 0;
  #standby: Promise<BenchBroker> | undefined;

  private constructor(
    machines: readonly RunCertificates[],
    ports: readonly number[],
    database: string,
  ) {
    this.#machines = machines;
    this.#ports = ports;
    this.#env = { FLOTILLA_BENCH_DATABASE: database };
  }

  /**
   * @param ports of the machines, in turn; a machine on which a broker hangs needs one of its own
   * @param database the URL of an empty database
   */
  static async make(
    certificates: RunCertificates,
    ports: readonly number[],
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
    return new TwoMachines(machines, ports, database);
  }

  /** Resolves when the standby of the previous start is active, and starts the next standby. */
  readonly start = async (): Promise<BenchBroker> => {
    const active = await this.active();
    this.startStandby();
    return active;
  };

  /** Resolves when the broker that was started last is active. Rejects when it ended before. */
  active(): Promise<BenchBroker> {
    this.#standby ??= this.#startOne();
    return this.#standby;
  }

  /** Starts a broker on the other machine, where no broker may run any more. */
  startStandby(): void {
    this.#standby = this.#startOne();
    this.#standby.catch(() => undefined);
  }

  /** Kills all of them. */
  close(): void {
    this.#closing.abort();
  }

  async #startOne(): Promise<BenchBroker> {
    const number = this.#starts++;
    const machine = this.#machines[number % this.#machines.length];
    if (machine === undefined) throw new Error('there is no machine');
    const port = this.#ports[number % this.#ports.length];
    const { storeIndex } = stateFolder(join(machine.folder, 'state')).broker;
    for (const end of ['', '-wal', '-shm']) await rm(storeIndex + end, { force: true });
    return startBenchBroker('flotilla', machine, port, [], {
      env: this.#env,
      signal: this.#closing.signal,
    });
  }
}
