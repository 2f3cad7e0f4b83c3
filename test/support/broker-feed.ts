/**
 * A feed for brokers under test: the server side of core/protocol/feed.ts over real mutual TLS, which
 * tests can control.
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

/** Replaces the enrollment service: the feed, its reports, and calls that a test responds to. */
export class TestFeed {
  readonly reports: FeedReport[] = [];
  readonly calls: { path: string; body: unknown }[] = [];
  readonly entries = new Map<string, DirectoryEntry>();
  /** Responds to calls that are not part of the feed. */
  respond: (path: string, body: unknown) => { status: number; body: object } = () => ({
    status: 404,
    body: {},
  });
  epoch = 'epoch-1';
  sequence = 0;
  graceMs = 3_600_000;
  #server: Server;
  #connections = new Set<ServerResponse>();
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
          const { status, body: result } = this.respond(url.pathname, body);
          response.writeHead(status, { 'content-type': 'application/json' });
          response.end(JSON.stringify(result));
        });
      },
    );
  }

  get url(): string {
    return `https://localhost:${this.#port}`;
  }

  /** The number of open feed connections. */
  get connections(): number {
    return this.#connections.size;
  }

  async listen(port = 0): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Sets an entry and sends the change to all connections. */
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
    for (const connection of this.#connections) connection.write(`${JSON.stringify(line)}\n`);
  }

  /** Closes all connections. */
  disconnect(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.disconnect();
    this.#server.closeAllConnections();
    await closed;
  }

  #open(response: ServerResponse, query: URLSearchParams): void {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    this.#connections.add(response);
    response.on('close', () => this.#connections.delete(response));
    const { epoch, sequence, graceMs } = this;
    const write = (line: object): void => void response.write(`${JSON.stringify(line)}\n`);
    write({ type: 'hello', epoch, sequence, graceMs });
    if (query.get('epoch') === epoch && query.get('since') === String(sequence)) return;
    write({ type: 'snapshot-begin', sequence });
    for (const entry of this.entries.values()) write({ type: 'entry', entry });
    write({ type: 'snapshot-end', sequence });
  }
}
