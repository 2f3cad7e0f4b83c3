/**
 * A connection as a stream that can be closed and observed, for plug-ins. It reads and writes nothing.
 *
 * @module
 */
import { Duplex } from 'node:stream';
import type { Wire } from '../contracts/connection-wire.ts';

export class ObservedStream extends Duplex {
  readonly #wire: Pick<Wire, 'destroy'>;

  constructor(wire: Pick<Wire, 'destroy'>, closed: boolean) {
    super();
    this.#wire = wire;
    this.on('error', () => undefined);
    if (closed) this.destroy();
  }

  override _read(): void {
    // The session layer reads.
  }

  override _write(_chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    done(new Error('plug-ins send messages with client.publish'));
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#wire.destroy();
    done(error);
  }
}
