/**
 * The settings of a process that runs services: read again at SIGHUP. What can change without a restart does; the rest is
 * named in the log.
 *
 * @module
 */
import type { Config } from '../../core/config/config.ts';
import { LiveConfig } from '../../core/config/live-config.ts';
import type { Logger } from '../../core/log.ts';

export class RunningSettings {
  readonly #live: LiveConfig;
  readonly #read: () => Promise<Config>;
  readonly #logs: Logger[] = [];
  #reading: Promise<void> | undefined;

  /** @param read reads all sources again, in the same order of precedence as at the start */
  constructor(config: Config, read: () => Promise<Config>) {
    this.#live = new LiveConfig(config);
    this.#read = read;
  }

  /** For the services. */
  get config(): Config {
    return this.#live.config;
  }

  /** Makes the level of a log follow the setting. The first one also gets the lines about changes. @returns the log */
  follow(log: Logger): Logger {
    this.#logs.push(log);
    return log;
  }

  /** Reads the sources again. The services of one process, which each ask for it, cause this once. */
  async reload(): Promise<void> {
    this.#reading ??= this.#reload().finally(() => (this.#reading = undefined));
    await this.#reading;
  }

  async #reload(): Promise<void> {
    const [log] = this.#logs;
    try {
      const { applied, restart } = this.#live.apply(await this.#read());
      const { level } = this.config.log;
      for (const one of this.#logs) one.level = level;
      if (applied.length > 0) log?.info({ settings: applied }, 'changed settings are in force');
      if (restart.length > 0) log?.warn({ settings: restart }, 'changed settings need a restart');
    } catch (error) {
      log?.error({ err: error }, 'the changed settings are not valid; a restart would fail');
    }
  }
}
