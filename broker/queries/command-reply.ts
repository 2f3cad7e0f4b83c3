/**
 * Waits for the reply of a device to a command of an operator.
 *
 * @module
 */
import type { Cancel, Clock } from '../../core/clock.ts';
import type { BrokerAnswerOf, MessageAnswer } from '../../core/protocol/broker-query.ts';

export interface CommandReplyDeps {
  readonly clock: Clock;
  /** Of the command, base64. A reply that has it is the reply to this command. */
  readonly correlationData: string;
  readonly waitMs: number;
  /** Called once: with the reply, or with null when there was none in time. */
  done(answer: BrokerAnswerOf<'command'>): void;
}

/**
 * A message with the correlation data of the command is its reply. One without correlation data, as devices
 * with MQTT 3.1.1 send it, is taken for the reply because of its topic. One with other correlation data is the
 * reply to another command.
 */
export class CommandReply {
  readonly #deps: CommandReplyDeps;
  readonly #startedMs: number;
  readonly #cancelTimer: Cancel;
  #stops: readonly (() => void)[] = [];
  #over = false;

  constructor(deps: CommandReplyDeps) {
    this.#deps = deps;
    this.#startedMs = deps.clock.monotonicMs();
    this.#cancelTimer = deps.clock.after(deps.waitMs, () => this.#finish(null, null));
  }

  /** @param stops end the subscriptions */
  begin(stops: readonly (() => void)[]): void {
    this.#stops = stops;
  }

  offer(make: () => MessageAnswer): void {
    if (this.#over) return;
    const message = make();
    const { correlationData } = message;
    // A retained message is older than the command.
    if (message.retain) return;
    if (correlationData === undefined) this.#finish(message, 'topic');
    else if (correlationData === this.#deps.correlationData) this.#finish(message, 'correlation');
  }

  /** Nobody waits any more. */
  cancel(): void {
    if (this.#over) return;
    this.#over = true;
    this.#cancelTimer();
    for (const stop of this.#stops) stop();
  }

  #finish(reply: MessageAnswer | null, matchedBy: 'correlation' | 'topic' | null): void {
    if (this.#over) return;
    this.cancel();
    const afterMs = Math.round(this.#deps.clock.monotonicMs() - this.#startedMs);
    this.#deps.done({ published: true, reply, matchedBy, afterMs });
  }
}
