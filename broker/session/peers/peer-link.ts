/**
 * One link to another partition: the connection that carries messages, and the stream of announcements. When one of
 * them closes, both do.
 *
 * @module
 */
import type { Wire } from '../../contracts/connection-wire.ts';
import { ClientConnection, type ConnectionHost } from '../connection/connection.ts';
import type { Session } from '../state/session.ts';
import { InterestLines, type InterestLine } from './interest-lines.ts';
import { InterestReceiver } from './interest-receiver.ts';
import type { InterestSender } from './interest-sender.ts';
import type { PeerSession } from './peer-session.ts';

/** How many messages of QoS 1 and 2 may be on their way. */
const windowMessages = 10_000;

/** What all links share. */
export type PeerLinkHost = Omit<
  ConnectionHost,
  'alwaysReads' | 'connectionsOf' | 'releaseSession' | 'connectionAccepted' | 'connectionClosed'
>;

export interface PeerLinkDeps {
  readonly host: PeerLinkHost;
  readonly session: PeerSession;
  readonly sender: InterestSender;
  readonly data: Wire;
  readonly interest: Wire;
  /** Called once. @param error undefined: a stream was closed */
  closed(error: unknown): void;
  /** Called once: both sides know the subscriptions of the other one. */
  synced(): void;
}

export class PeerLink {
  readonly #deps: PeerLinkDeps;
  readonly #client: ClientConnection;
  readonly #lines: InterestLines;
  readonly #receiver: InterestReceiver;
  #isClosed = false;
  #isAnnounced = false;
  #isSynced = false;

  constructor(deps: PeerLinkDeps) {
    const { host, session, sender, data, interest } = deps;
    const { context } = host;
    this.#deps = deps;
    this.#client = new ClientConnection(
      {
        ...host,
        alwaysReads: true,
        connectionsOf: () => [],
        releaseSession: (released) => this.#release(released),
        connectionAccepted: () => undefined,
        connectionClosed: () => undefined,
      },
      data,
      session.peerIdentity,
    );
    session.owner = this.#client;
    this.#client.openWithoutConnect(session);
    this.#receiver = new InterestReceiver(session, context.limits);
    this.#lines = new InterestLines(interest, context.batches.buffers, {
      onLine: (line) => this.#onLine(line),
      onEnd: (error) => this.close(error),
    });
    sender.start(this.#lines, {
      onSynced: () => {
        this.#isAnnounced = true;
        this.#checkSynced();
      },
      onOverflow: () => this.close(new RangeError('too many announcements wait')),
    });
    session.outbound.attach(this.#client, windowMessages, session.kept);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Whether both sides know the subscriptions of the other one. */
  get isSynced(): boolean {
    return this.#isSynced && !this.#isClosed;
  }

  /** Closes both streams. @param error why, if it is a fault */
  close(error?: unknown): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#deps.sender.stop();
    this.#lines.destroy();
    this.#client.close('connection-lost');
    // What has not left is sent again over the next link.
    this.#deps.data.destroy();
    this.#deps.closed(error);
  }

  sweep(nowMs: number): void {
    this.#client.sweep(nowMs);
  }

  onProcessPaused(ms: number): void {
    this.#client.onProcessPaused(ms);
  }

  /** The connection does not use the session any more. */
  #release(session: Session): void {
    session.owner = undefined;
    session.outbound.detach();
    this.close();
  }

  #onLine(line: InterestLine): void {
    if (this.#isClosed) return;
    if ('ack' in line) {
      this.#deps.sender.onAcknowledgement(line.ack);
      return;
    }
    if ('synced' in line) {
      this.#receiver.finish();
      this.#checkSynced();
    } else this.#receiver.apply(line);
    const { n } = line;
    this.#deps.host.context.store.afterCommit((error) => {
      if (error === undefined) this.#lines.send({ ack: n });
    });
  }

  #checkSynced(): void {
    if (this.#isSynced || !this.#isAnnounced || !this.#receiver.isSynced) return;
    this.#isSynced = true;
    this.#deps.synced();
  }
}
