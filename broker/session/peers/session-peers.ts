/**
 * The other partitions of the fleet, as the session layer of this one sees them.
 *
 * @module
 */
import { messageOf } from '../../../core/errors/flotilla-error.ts';
import type { Wire } from '../../contracts/connection-wire.ts';
import type { PartitionPeers, PeerQueue } from '../../contracts/partition-peers.ts';
import type { RecoveredSession } from '../../store/session-store.ts';
import type { SessionContext } from '../state/context.ts';
import type { LocalInterest } from './local-interest.ts';
import { InterestSender } from './interest-sender.ts';
import { peerContext } from './peer-context.ts';
import { peerDispatch } from './peer-dispatch.ts';
import { PeerLink, type PeerLinkHost } from './peer-link.ts';
import { PeerSession } from './peer-session.ts';
import { RetainedDistribution } from './retained-distribution.ts';

/** The partition that a session layer serves. */
export interface Partition {
  readonly own: string;
  /** The names of all partitions of the fleet, in their order. The same everywhere. */
  readonly names: readonly string[];
}

export interface SessionPeersDeps {
  /** The session layer. Its context is that of clients. */
  readonly host: Omit<PeerLinkHost, 'dispatch'>;
  readonly partition: Partition;
  readonly interest: LocalInterest;
}

interface Peer {
  readonly session: PeerSession;
  readonly sender: InterestSender;
  link: PeerLink | undefined;
}

export class SessionPeers implements PartitionPeers {
  readonly #own: string;
  readonly #host: PeerLinkHost;
  readonly #context: SessionContext;
  readonly #byName = new Map<string, Peer>();
  #isClosed = false;

  constructor({ host, partition: { own, names }, interest }: SessionPeersDeps) {
    this.#own = own;
    this.#context = peerContext(host.context);
    const { publisher, sessions, scheduler, readTurns, retainedSender } = host;
    for (const name of names) {
      if (name === own) continue;
      const session = new PeerSession(name, this.#context, publisher);
      this.#byName.set(name, { session, sender: new InterestSender(interest), link: undefined });
    }
    const distribution = new RetainedDistribution({
      ...{ context: host.context, publisher, sessions },
      partitions: names.map((name) => this.#byName.get(name)?.session),
    });
    publisher.distribution = distribution;
    this.#host = {
      context: this.#context,
      ...{ publisher, sessions, scheduler, readTurns, retainedSender },
      dispatch: peerDispatch(distribution),
    };
    interest.announceTo([...this.#byName.values()].map(({ sender }) => sender));
  }

  get connected(): readonly string[] {
    const names: string[] = [];
    for (const [name, { link }] of this.#byName) if (link?.isSynced === true) names.push(name);
    return names;
  }

  get queued(): readonly PeerQueue[] {
    const { store } = this.#context;
    return [...this.#byName].map(([peer, { session }]) => {
      const { messages, bytes } = store.queueOf(session.clientId);
      return { peer, messages, bytes };
    });
  }

  /** How many subscriptions of other partitions are in the router. */
  get subscriptions(): number {
    let sum = 0;
    for (const { session } of this.#byName.values()) sum += session.subscriptions.size;
    return sum;
  }

  /** Restores the sessions of the other partitions, and creates those that are missing. */
  recover(sessions: readonly RecoveredSession[]): void {
    for (const { session } of this.#byName.values()) {
      session.restore(sessions.find(({ clientId }) => clientId === session.clientId));
    }
  }

  connect(name: string, data: Wire, interest: Wire): void {
    const peer = this.#byName.get(name);
    if (peer === undefined || this.#isClosed) {
      data.destroy();
      interest.destroy();
      return;
    }
    peer.link?.close();
    const { log } = this.#context;
    const { session, sender } = peer;
    const fields = { partition: this.#own, peer: name };
    let link: PeerLink | undefined = undefined;
    link = new PeerLink({
      ...{ host: this.#host, session, sender, data, interest },
      closed: (error) => {
        if (peer.link === link) peer.link = undefined;
        if (error === undefined) log.info(fields, 'link to a partition closed');
        else log.warn({ ...fields, detail: messageOf(error) }, 'link to a partition failed');
      },
      synced: () => log.info(fields, 'linked to a partition'),
    });
    if (!link.isClosed) peer.link = link;
  }

  sweep(nowMs: number): void {
    for (const { link } of this.#byName.values()) link?.sweep(nowMs);
  }

  onProcessPaused(ms: number): void {
    for (const { link } of this.#byName.values()) link?.onProcessPaused(ms);
  }

  /** Closes all links, and accepts no new ones. */
  close(): void {
    this.#isClosed = true;
    for (const { link } of this.#byName.values()) link?.close();
    for (const { session } of this.#byName.values()) session.abandon();
  }
}
