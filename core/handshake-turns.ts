/**
 * Works on a few TLS handshakes of a thread at a time. Each step of a handshake costs up to some ms of CPU
 * time in the event loop, and clients decide when they send the bytes of the next step: thousands of clients
 * could do that together, and all of it would happen in one turn of the event loop. So only the sockets that
 * have a place are read from. The bytes of the others remain in the kernel.
 *
 * A handshake keeps its place while no other one waits. Otherwise it loses its place after a few ms in which
 * it could be read from, and waits for the next one. Addresses take turns (the /64 of an IPv6 address counts as one
 * address), and so do the handshakes of an address that begin and those that continue.
 *
 * The caller limits how many handshakes there are, and for how long.
 *
 * @module
 */
import type { Socket } from 'node:net';
import { addressPrefix } from './ip-address.ts';

/**
 * Handshakes that are worked on at a time. A step usually costs 0.3 to 1 ms, and up to 8 ms with a
 * certificate that a client has made as costly as OpenSSL allows.
 */
const handshakePlacesMax = 6;
/** How long a handshake that has nothing to read keeps its place while others wait, in ms. */
const idlePlaceMs = 2;

export class HandshakeTurns {
  readonly #entries = new Map<Socket, Entry>();
  /** Handshakes without a place, by address. The first address is the next one to get a place. */
  readonly #waiting = new Map<string, Queue>();
  readonly #working = new Set<Entry>();
  /** Places that may still be given in this turn of the event loop. */
  #left = handshakePlacesMax;
  #timer: NodeJS.Timeout | undefined;
  #isTurnSet = false;

  /**
   * Adds a connection, and calls `begin`, at once or later, when its handshake may start. The caller must
   * call {@link finished} when the handshake is complete and when the socket closes.
   */
  add(socket: Socket, begin: () => void): void {
    const source = addressPrefix(socket.remoteAddress ?? '');
    const entry: Entry = { socket, source, begin };
    this.#entries.set(socket, entry);
    if (this.#waiting.size === 0 && this.#hasPlace()) {
      this.#work(entry);
    } else {
      this.#wait(entry);
    }
    this.#nextTurn();
  }

  /** The handshake of this socket succeeded or failed: it is read from without limits. Idempotent. */
  finished(socket: Socket): void {
    const entry = this.#entries.get(socket);
    if (entry === undefined) return;
    this.#entries.delete(socket);
    if (this.#working.delete(entry)) {
      if (this.#waiting.size > 0) this.#nextTurn();
      return;
    }
    const queue = this.#waiting.get(entry.source);
    if (queue === undefined) return;
    queue.beginning.delete(entry);
    queue.continuing.delete(entry);
    if (isEmpty(queue)) this.#waiting.delete(entry.source);
  }

  #hasPlace(): boolean {
    return this.#left > 0 && this.#working.size < handshakePlacesMax;
  }

  #wait(entry: Entry): void {
    let queue = this.#waiting.get(entry.source);
    if (queue === undefined) {
      queue = { beginning: new Set(), continuing: new Set(), continuesNext: true };
      this.#waiting.set(entry.source, queue);
    }
    (entry.begin === undefined ? queue.continuing : queue.beginning).add(entry);
  }

  #work(entry: Entry): void {
    this.#left--;
    this.#working.add(entry);
    const { begin, socket } = entry;
    entry.begin = undefined;
    // A socket that was destroyed releases its place when it closes.
    if (socket.destroyed) return;
    if (begin === undefined) handleOf(socket)?.readStart();
    else begin();
  }

  /** Gives the free places to others at the end of this turn of the event loop, when sockets were read. */
  #nextTurn(takesPlaces = false): void {
    if (takesPlaces) this.#timer = undefined;
    else if (this.#isTurnSet) return;
    this.#isTurnSet = true;
    setImmediate(() => {
      this.#isTurnSet = false;
      this.#left = handshakePlacesMax;
      if (takesPlaces) this.#takePlaces();
      for (const entry of this.#next()) this.#work(entry);
      if (this.#waiting.size === 0 || this.#timer !== undefined) return;
      this.#timer = setTimeout(() => this.#nextTurn(true), idlePlaceMs).unref();
    });
  }

  #takePlaces(): void {
    for (const entry of this.#working) {
      if (!entry.socket.destroyed) handleOf(entry.socket)?.readStop();
      this.#wait(entry);
    }
    this.#working.clear();
  }

  /** Takes the next handshakes from the queues, one of each address in turn. */
  #next(): Entry[] {
    const next: Entry[] = [];
    while (this.#working.size + next.length < handshakePlacesMax) {
      const [first] = this.#waiting;
      if (first === undefined) break;
      const [source, queue] = first;
      // The address moves to the end.
      this.#waiting.delete(source);
      const entry = takeFrom(queue);
      if (!isEmpty(queue)) this.#waiting.set(source, queue);
      if (entry === undefined) continue;
      next.push(entry);
    }
    return next;
  }
}

interface Entry {
  readonly socket: Socket;
  readonly source: string;
  /** Starts the handshake; undefined when it has started. */
  begin: (() => void) | undefined;
}

/** The handshakes of an address that have no place. */
interface Queue {
  readonly beginning: Set<Entry>;
  readonly continuing: Set<Entry>;
  /** Which of them has the next turn. */
  continuesNext: boolean;
}

function isEmpty({ beginning, continuing }: Queue): boolean {
  return beginning.size + continuing.size === 0;
}

function takeFrom(queue: Queue): Entry | undefined {
  const { beginning, continuing, continuesNext } = queue;
  queue.continuesNext = !continuesNext;
  const isContinuing = continuing.size > 0 && (continuesNext || beginning.size === 0);
  const from = isContinuing ? continuing : beginning;
  const [entry] = from;
  if (entry !== undefined) from.delete(entry);
  return entry;
}

/** The part of a TCP handle of Node.js that starts and stops reading. */
interface ReadingHandle {
  readStart(): void;
  readStop(): void;
}

/**
 * The handle of a socket; undefined when it is closed. TLS reads from the handle and not from the socket, so
 * that `socket.pause()` has no effect on it, and Node.js has no public way to make it wait.
 */
function handleOf(socket: Socket): ReadingHandle | undefined {
  const { _handle: handle } = socket as unknown as { _handle?: Partial<ReadingHandle> | null };
  return isReadingHandle(handle) ? handle : undefined;
}

function isReadingHandle(
  handle: Partial<ReadingHandle> | null | undefined,
): handle is ReadingHandle {
  return typeof handle?.readStart === 'function' && typeof handle.readStop === 'function';
}
