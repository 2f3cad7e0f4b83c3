/**
 * Gathers the messages that an operator watches into batches. Bounded by count and bytes for each batch and
 * by count for all of it, so that neither the broker nor the service has to hold a flood.
 *
 * @module
 */
import type { Cancel, Clock } from '../../core/clock.ts';
import type { BrokerAnswerOf, MessageAnswer } from '../../core/protocol/broker-query.ts';

const batchMs = 250;
const batchMaxMessages = 500;
const batchMaxChars = 512 * 1024;

export interface MessageTailDeps {
  readonly clock: Clock;
  readonly messagesMax: number;
  readonly seconds: number;
  /** Sends a batch; resolves to whether anybody still wants more. */
  send(batch: BrokerAnswerOf<'tail'>, done: boolean): Promise<boolean>;
}

export class MessageTail {
  readonly #deps: MessageTailDeps;
  readonly #cancelEnd: Cancel;
  #stop: () => void = () => undefined;
  #messages: MessageAnswer[] = [];
  #chars = 0;
  #dropped = 0;
  #left: number;
  #planned: Cancel | undefined;
  #sending = false;
  #over = false;

  constructor(deps: MessageTailDeps) {
    this.#deps = deps;
    this.#left = deps.messagesMax;
    this.#cancelEnd = deps.clock.after(deps.seconds * 1000, () => this.finish());
  }

  /** @param stop ends the subscription */
  begin(stop: () => void): void {
    this.#stop = stop;
  }

  offer(make: () => MessageAnswer): void {
    if (this.#over) return;
    if (this.#messages.length >= batchMaxMessages || this.#chars >= batchMaxChars) {
      this.#dropped++;
      return;
    }
    const message = make();
    this.#messages.push(message);
    this.#chars += message.payload.length + message.topic.length;
    if (--this.#left <= 0) this.finish();
    else if (!this.#sending) {
      this.#planned ??= this.#deps.clock.after(batchMs, () => this.#send());
    }
  }

  /** Sends what is left, and that this was all. */
  finish(): void {
    if (!this.#end()) return;
    if (!this.#sending) this.#send();
  }

  /** Nobody wants more. */
  cancel(): void {
    this.#end();
    this.#messages = [];
  }

  #end(): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#cancelEnd();
    this.#planned?.();
    this.#stop();
    return true;
  }

  #send(): void {
    this.#planned = undefined;
    this.#sending = true;
    const done = this.#over;
    const batch = { messages: this.#messages, dropped: this.#dropped };
    this.#messages = [];
    this.#chars = 0;
    this.#dropped = 0;
    this.#deps.send(batch, done).then(
      (wanted) => {
        this.#sending = false;
        if (done) return;
        if (!wanted) this.cancel();
        else if (this.#over) this.#send();
        else if (this.#messages.length > 0) {
          this.#planned ??= this.#deps.clock.after(batchMs, () => this.#send());
        }
      },
      () => {
        this.#sending = false;
        this.cancel();
      },
    );
  }
}
