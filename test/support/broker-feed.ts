/**
 * A feed for brokers under test: the service's side of core/protocol/feed.ts over real mutual TLS, with
 * everything that a test wants to do to it.
 *
 * @module
 */
import { createServer, type Server } from 'node:https';
import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  feedReportSchema,
  type DirectoryEntry,
  type FeedReport,
} from '../../core/protocol/feed.ts';
import type { TestCa, TestIdentity } from './test-ca.ts';

/** A stand-in for the enrollment service: the feed, its reports, and calls that a test answers. */
export class TestFeed {
  readonly reports: FeedReport[] = [];
  readonly calls: { path: string; body: unknown }[] = [];
  readonly entries = new Map<string, DirectoryEntry>();
  /** Answers other calls than those of the feed. */
  answer: (path: string, body: unknown) => { status: number; body: object } = () => ({
    status: 404,
    body: {},
  });
  epoch = 'epoch-1';
  sequence = 0;
  graceMs = 3_600_000;
  #server: Server;
  #links = new Set<ServerResponse>();
  #port = 0;

  constructor(ca: TestCa, identity: TestIdentity) {
    this.#server = createServer(
      { key: identity.key, cert: identity.cert, ca: ca.ca, requestCert: true },
      (request, response) => {
        const url = new URL(request.url ?? '', 'https://x');
        if (url.pathname === '/v1/feed') {
          this.#open(response, url.searchParams);
          return;
        }
        const chunks: Buffer[] = [];
        request.on('data', (chunk: Buffer) => chunks.push(chunk));
        request.on('end', () => {
          const body = JSON.parse(Buffer.concat(chunks).toString()) as unknown;
          if (url.pathname === '/v1/feed/report') {
            this.reports.push(feedReportSchema.parse(body));
            response.writeHead(204).end();
            return;
          }
          if (url.pathname === '/v1/feed/sample') {
            response.writeHead(204).end();
            return;
          }
          this.calls.push({ path: url.pathname, body });
          const { status, body: answer } = this.answer(url.pathname, body);
          response.writeHead(status, { 'content-type': 'application/json' });
          response.end(JSON.stringify(answer));
        });
      },
    );
  }

  get url(): string {
    return `https://localhost:${this.#port}`;
  }

  /** Open links now. */
  get links(): number {
    return this.#links.size;
  }

  async listen(port = 0): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Puts an entry in force: sent to all links. */
  set(entry: DirectoryEntry): void {
    this.entries.set(entry.id, entry);
    this.sequence++;
    this.send({ type: 'change', sequence: this.sequence, entry });
  }

  remove(id: string): void {
    this.entries.delete(id);
    this.sequence++;
    this.send({ type: 'removed', sequence: this.sequence, id });
  }

  send(line: object): void {
    for (const link of this.#links) link.write(`${JSON.stringify(line)}\n`);
  }

  /** Breaks all links. */
  cut(): void {
    for (const link of this.#links) link.destroy();
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.cut();
    this.#server.closeAllConnections();
    await closed;
  }

  #open(response: ServerResponse, query: URLSearchParams): void {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    this.#links.add(response);
    response.on('close', () => this.#links.delete(response));
    const { epoch, sequence, graceMs } = this;
    const write = (line: object): void => void response.write(`${JSON.stringify(line)}\n`);
    write({ type: 'hello', epoch, sequence, graceMs });
    if (query.get('epoch') === epoch && query.get('since') === String(sequence)) return;
    write({ type: 'snapshot-begin', sequence });
    for (const entry of this.entries.values()) write({ type: 'entry', entry });
    write({ type: 'snapshot-end', sequence });
  }
}
