/**
 * A WebSocket that accepts only binary frames.
 *
 * @module
 */
import { WebSocket } from 'ws';

/** RFC 6455, 7.4.1. */
const unsupportedData = 1003;

/** [MQTT-6.0.0-1]: frames must be binary. Any other frame closes the connection and is not read. */
export class BinaryWebSocket extends WebSocket {
  #refused = false;

  override emit(event: string | symbol, ...values: unknown[]): boolean {
    if (event !== 'message') return super.emit(event, ...values);
    if (this.#refused) return false;
    if (values[1] === true) return super.emit(event, ...values);
    this.#refused = true;
    this.close(unsupportedData, 'binary frames only');
    return true;
  }
}
