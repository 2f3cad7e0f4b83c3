/**
 * Which connections are open, and which one makes way for a new one. A few addresses cannot exclude the
 * others: when the table is full, the oldest idle connection of the source with the most connections closes,
 * those without an accepted client certificate first.
 *
 * A source is an IPv4 address or an IPv6 /64.
 *
 * @module
 */
import { addressPrefix } from '../../core/ip-address.ts';

/** The part of a socket that the table needs. */
export interface TableSocket {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  destroy(): unknown;
  once(event: 'close', listener: () => void): unknown;
}

interface Entry {
  readonly socket: TableSocket;
  readonly source: string;
  /** Whether TLS accepted its client certificate. */
  isKnown: boolean;
  /** Requests that are not answered. */
  requests: number;
}

export interface ConnectionLimits {
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
}

export class ConnectionTable {
  readonly #limits: ConnectionLimits;
  /** By source, each in the order of their last request. */
  readonly #sources = new Map<string, Set<Entry>>();
  readonly #byPeer = new Map<string, Entry>();
  #size = 0;

  constructor(limits: ConnectionLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#size;
  }

  /**
   * Adds a connection. Closes another one, or this one, when there is no room.
   *
   * @returns whether it stays open
   */
  add(socket: TableSocket): boolean {
    const source = addressPrefix(socket.remoteAddress ?? '');
    const own = this.#sources.get(source);
    const { connectionsMax, connectionsPerAddressMax } = this.#limits;
    const isOverShare = (own?.size ?? 0) >= connectionsPerAddressMax;
    if (isOverShare || this.#size >= connectionsMax) {
      const victim = isOverShare ? idleOf(own) : idleOf(this.#largest());
      if (victim === undefined) {
        socket.destroy();
        return false;
      }
      this.#remove(victim);
      victim.socket.destroy();
    }
    const entry: Entry = { socket, source, isKnown: false, requests: 0 };
    const entries = this.#sources.get(source);
    if (entries === undefined) this.#sources.set(source, new Set([entry]));
    else entries.add(entry);
    this.#byPeer.set(peerOf(socket), entry);
    this.#size++;
    socket.once('close', () => this.#remove(entry));
    return true;
  }

  /** The client of a connection has shown a certificate that TLS accepted. */
  known(socket: TableSocket): void {
    const entry = this.#byPeer.get(peerOf(socket));
    if (entry !== undefined) entry.isKnown = true;
  }

  /** A request begins. @returns a function to call when its connection is idle again */
  requested(socket: TableSocket): () => void {
    const entry = this.#byPeer.get(peerOf(socket));
    if (entry === undefined) return () => undefined;
    entry.requests++;
    let isDone = false;
    return () => {
      if (isDone) return;
      isDone = true;
      entry.requests--;
      const entries = this.#sources.get(entry.source);
      if (entries?.delete(entry) === true) entries.add(entry);
    };
  }

  #largest(): ReadonlySet<Entry> | undefined {
    let largest: ReadonlySet<Entry> | undefined;
    for (const entries of this.#sources.values()) {
      if (entries.size > (largest?.size ?? 0)) largest = entries;
    }
    return largest;
  }

  #remove(entry: Entry): void {
    const entries = this.#sources.get(entry.source);
    if (entries?.delete(entry) !== true) return;
    if (entries.size === 0) this.#sources.delete(entry.source);
    this.#byPeer.delete(peerOf(entry.socket));
    this.#size--;
  }
}

function idleOf(entries: ReadonlySet<Entry> | undefined): Entry | undefined {
  let known: Entry | undefined;
  for (const entry of entries ?? []) {
    if (entry.requests > 0) continue;
    if (!entry.isKnown) return entry;
    known ??= entry;
  }
  return known;
}

/** The TLS socket and the TCP socket below it have the same peer. */
function peerOf({ remoteAddress, remotePort }: TableSocket): string {
  return `${remoteAddress ?? ''} ${remotePort ?? 0}`;
}
