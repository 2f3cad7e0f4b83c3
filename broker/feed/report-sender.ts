/**
 * Sends reports to the enrollment service over HTTPS.
 *
 * @module
 */
import { enrollmentAgent } from '../../core/protocol/enrollment-agent.ts';
import type { FeedReport } from '../../core/protocol/feed.ts';
import { callHttps, problemOf } from '../../core/protocol/https-client.ts';
import { feedTimeoutMs, type FeedCredentials } from './feed-client.ts';

export class ReportSender {
  readonly #url: string;
  readonly #credentials: () => FeedCredentials;
  readonly #agent = enrollmentAgent(1);

  /** @param credentials called for each request, so that a renewed certificate is used */
  constructor(url: string, credentials: () => FeedCredentials) {
    this.#url = new URL('/v1/feed/report', url).href;
    this.#credentials = credentials;
  }

  /** @throws FlotillaError when the report could not be delivered or was rejected */
  async send(report: FeedReport): Promise<void> {
    const response = await callHttps({
      method: 'POST',
      url: this.#url,
      ...this.#credentials(),
      agent: this.#agent,
      body: report,
      timeoutMs: feedTimeoutMs,
    });
    if (response.status < 200 || response.status > 299) throw problemOf(response);
  }

  close(): void {
    this.#agent.destroy();
  }
}
