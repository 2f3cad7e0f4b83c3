/**
 * Topic aliases that the server sets towards one client (5.0): the first topics get one, which
 * serves a fleet's client well: it hears of the same few topics for ever.
 *
 * @module
 */
export class OutboundAliases {
  readonly #max: number;
  readonly #byTopic = new Map<string, number>();

  /** @param max Topic Alias Maximum of the CONNECT [MQTT-3.1.2-26]; at least 1 */
  constructor(max: number) {
    this.#max = max;
  }

  /** The alias of a topic, 0 when there is none left; `known`: the client has been told. */
  of(topic: string): { readonly alias: number; readonly known: boolean } {
    const alias = this.#byTopic.get(topic);
    if (alias !== undefined) return { alias, known: true };
    if (this.#byTopic.size >= this.#max) return { alias: 0, known: false };
    const next = this.#byTopic.size + 1;
    this.#byTopic.set(topic, next);
    return { alias: next, known: false };
  }

  /** The packet that was to tell the client did not leave. */
  forget(topic: string): void {
    const alias = this.#byTopic.get(topic);
    // Only the newest can be taken back: its number is free again.
    if (alias !== undefined && alias === this.#byTopic.size) this.#byTopic.delete(topic);
  }
}
