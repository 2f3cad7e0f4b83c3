/**
 * The file from which `flotilla status` learns the processes of a running cluster.
 *
 * @module
 */
import { rm } from 'node:fs/promises';
import type { Logger } from '../../core/log.ts';
import { writeRun, type ClusterRun } from '../lib/run-file.ts';

export class RoleFile {
  readonly #path: string;
  readonly #database: string;
  readonly #log: Logger;
  #writing: Promise<unknown> = Promise.resolve();
  #next: ClusterRun['nodes'] | undefined;

  /** @param database its URL, for commands that read the nodes of the cluster */
  constructor(path: string, database: string, log: Logger) {
    this.#path = path;
    this.#database = database;
    this.#log = log;
  }

  /** Writes the newest roles; those that come while a write is on its way replace each other. */
  record(nodes: ClusterRun['nodes']): void {
    const isWaiting = this.#next !== undefined;
    this.#next = nodes;
    if (isWaiting) return;
    this.#writing = this.#writing
      .then(async () => {
        const newest = this.#next ?? nodes;
        this.#next = undefined;
        await writeRun(this.#path, { database: this.#database, nodes: newest });
      })
      .catch((error: unknown) => this.#log.warn({ err: error }, 'roles were not written'));
  }

  async close(): Promise<void> {
    await this.#writing;
    await rm(this.#path, { force: true });
  }
}
