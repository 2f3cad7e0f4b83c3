/**
 * Reports the numbers of this broker to the enrollment service every five seconds. A report that cannot
 * be delivered is dropped: the next one has newer numbers.
 *
 * @module
 */
import { enrollmentAgent } from '../../core/protocol/enrollment-agent.ts';
import type { Cancel, Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/log.ts';
import { samplePeriodMs, type BrokerSampleReport } from '../../core/protocol/broker-sample.ts';
import { callHttps } from '../../core/protocol/https-client.ts';
import type { FeedCredentials } from './feed-client.ts';

export interface SampleReporterDeps {
  readonly url: string;
  readonly clock: Clock;
  readonly log: Logger;
  credentials(): FeedCredentials;
  sample(): BrokerSampleReport;
}

export class SampleReporter {
  readonly #deps: SampleReporterDeps;
  readonly #agent = enrollmentAgent(1);
  #cancel: Cancel = () => undefined;
  #sending: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(deps: SampleReporterDeps) {
    this.#deps = deps;
  }

  /** Sends the first report now. */
  start(): void {
    this.#sending = this.#send().finally(() => {
      if (this.#stopped) return;
      this.#cancel = this.#deps.clock.after(samplePeriodMs, () => this.start());
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    await this.#sending;
    this.#agent.destroy();
  }

  async #send(): Promise<void> {
    const { url, log } = this.#deps;
    try {
      const response = await callHttps({
        method: 'POST',
        url: new URL('/v1/feed/sample', url).href,
        ...this.#deps.credentials(),
        agent: this.#agent,
        body: this.#deps.sample(),
        timeoutMs: samplePeriodMs,
      });
      // A service of an older version does not know this call: nothing is lost but its history.
      if (response.status > 299) log.debug({ status: response.status }, 'sample not accepted');
    } catch (err) {
      log.debug({ err }, 'sample not delivered');
    }
  }
}
