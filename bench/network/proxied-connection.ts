/**
 * One connection through a proxy: two sockets, and the bytes on their way in each direction.
 *
 * @module
 */
import { Socket, type NetConnectOpts } from 'node:net';
import type { NetworkPath, PathConnection, PathDirection } from './network-path.ts';

/** With so many bytes on their way the sender is not read. */
const onTheWayMaxBytes = 1024 * 1024;

/** Bytes, the end of the sender, or the loss of its connection. */
type Passed = Buffer | 'end' | 'lost';

class OneWay {
  readonly #source: Socket;
  readonly #target: Socket;
  readonly #path: NetworkPath;
  readonly #direction: PathDirection;
  readonly #isReady: () => boolean;
  readonly #waiting: { readonly dueMs: number; readonly what: Passed }[] = [];
  #waitingBytes = 0;
  #lastDueMs = 0;
  #timer: NodeJS.Timeout | undefined = undefined;

  constructor(
    source: Socket,
    target: Socket,
    path: NetworkPath,
    direction: PathDirection,
    isReady: () => boolean,
  ) {
    this.#source = source;
    this.#target = target;
    this.#path = path;
    this.#direction = direction;
    this.#isReady = isReady;
    let hasEnded = false;
    source.on('data', (chunk: Buffer) => this.#push(chunk));
    source.on('end', () => {
      hasEnded = true;
      this.#push('end');
    });
    source.on('close', () => {
      if (!hasEnded || !source.writableFinished) this.#push('lost');
    });
    source.on('error', () => undefined);
    target.on('drain', () => this.pump());
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** Passes what may arrive now. */
  pump(): void {
    clearTimeout(this.#timer);
    const nowMs = performance.now();
    while (!this.#path.isBlackHole(this.#direction) && this.#isReady()) {
      const [next] = this.#waiting;
      if (next === undefined) break;
      if (next.dueMs > nowMs) {
        this.#timer = setTimeout(() => this.pump(), Math.ceil(next.dueMs - nowMs));
        break;
      }
      this.#waiting.shift();
      this.#pass(next.what);
    }
    const isFull = this.#waitingBytes + this.#target.writableLength > onTheWayMaxBytes;
    if (isFull) this.#source.pause();
    else this.#source.resume();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#waiting.length = 0;
  }

  #push(what: Passed): void {
    this.#lastDueMs = Math.max(this.#lastDueMs, performance.now() + this.#path.delayMs);
    this.#waiting.push({ dueMs: this.#lastDueMs, what });
    if (what instanceof Buffer) this.#waitingBytes += what.length;
    this.pump();
  }

  #pass(what: Passed): void {
    if (what instanceof Buffer) {
      this.#waitingBytes -= what.length;
      if (this.#target.writable) this.#target.write(what);
    } else if (what === 'end') this.#target.end();
    else abort(this.#target);
  }
}

export class ProxiedConnection implements PathConnection {
  readonly #client: Socket;
  readonly #server = new Socket({ allowHalfOpen: true });
  readonly #path: NetworkPath;
  readonly #target: () => NetConnectOpts | undefined;
  readonly #closed: () => void;
  readonly #ways: readonly OneWay[];
  #isDialed = false;

  /**
   * @param client with half-open connections
   * @param target where the server is; undefined: not known yet, {@link pump} is called when it is
   * @param closed called when both sockets are closed; may be called more than once
   */
  constructor(
    client: Socket,
    path: NetworkPath,
    target: () => NetConnectOpts | undefined,
    closed: () => void,
  ) {
    this.#client = client;
    this.#path = path;
    this.#target = target;
    this.#closed = closed;
    client.setNoDelay(true);
    this.#server.setNoDelay(true);
    const isReady = (): boolean => this.#isDialed;
    this.#ways = [
      new OneWay(client, this.#server, path, 'toServer', isReady),
      new OneWay(this.#server, client, path, 'toClient', isReady),
    ];
    path.add(this);
    for (const socket of [client, this.#server]) socket.on('close', () => this.#forgetClosed());
    this.pump();
  }

  pump(): void {
    if (!this.#isDialed) this.#dial();
    for (const way of this.#ways) way.pump();
    this.#forgetClosed();
  }

  reset(): void {
    this.#path.remove(this);
    for (const way of this.#ways) way.stop();
    abort(this.#client);
    abort(this.#server);
    this.#closed();
  }

  /** A connection is established when packets pass in both directions. */
  #dial(): void {
    const target = this.#target();
    const isBlocked = this.#path.isBlackHole('toServer') || this.#path.isBlackHole('toClient');
    if (isBlocked || target === undefined) return;
    if (this.#client.destroyed) {
      this.reset();
      return;
    }
    this.#isDialed = true;
    this.#server.connect(target);
  }

  #forgetClosed(): void {
    if (!this.#client.destroyed) return;
    if (this.#server.destroyed && this.#ways.every(({ isEmpty }) => isEmpty)) this.reset();
  }
}

/** A connection over TCP is reset, a Unix socket closed. */
function abort(socket: Socket): void {
  if (socket.remoteAddress === undefined) socket.destroy();
  else socket.resetAndDestroy();
}
