/**
 * A connection whose received bytes are valid only until the end of the turn, as those of a front are.
 * Afterwards they are overwritten, so that code that keeps a view of them fails in the tests.
 *
 * @module
 */
import type { Duplex } from 'node:stream';
import type { WireHandlers, WriteBuffers } from '../../broker/contracts/connection-wire.ts';
import type { LayerTurn } from '../../broker/contracts/broker-layer.ts';
import { StreamWire } from '../../broker/listeners/stream-wire.ts';

const overwritten = 0xdb;

export class BorrowedWire extends StreamWire {
  readonly #turn: LayerTurn;

  /** @param turn the write scheduler of the session layer */
  constructor(stream: Duplex, turn: LayerTurn) {
    super(stream);
    this.#turn = turn;
  }

  override listen(handlers: WireHandlers, buffers: WriteBuffers): void {
    super.listen(
      {
        onData: (chunk) => {
          // Written bytes can be views of what was read; the socket needs them until they are sent.
          const borrowed = Buffer.from(chunk);
          this.#turn.hold();
          handlers.onData(borrowed);
          do this.#turn.flush();
          while (this.#turn.isBehind);
          borrowed.fill(overwritten);
        },
        onRoom: () => handlers.onRoom(),
        onClosed: () => handlers.onClosed(),
      },
      buffers,
    );
  }

  /** Copies, as the ring of a front does. */
  override send(...[batch, onSent]: Parameters<StreamWire['send']>): void {
    this.sendBuffer(Buffer.from(batch.join()), undefined, onSent);
  }
}
