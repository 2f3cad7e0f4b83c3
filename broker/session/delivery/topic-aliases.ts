/**
 * The topic aliases that the server sets for one MQTT 5.0 client. The first topics get one: a client of
 * a fleet receives the same few topics all the time.
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

  /**
   * The alias of a topic; 0 if it has none. `known`: the client knows it from an earlier packet.
   *
   * @param mayIntroduce whether the packet may introduce a new alias
   */
  of(topic: string, mayIntroduce: boolean): { readonly alias: number; readonly known: boolean } {
    const alias = this.#byTopic.get(topic);
    if (alias !== undefined) return { alias, known: true };
    if (!mayIntroduce || this.#byTopic.size >= this.#max) return { alias: 0, known: false };
    const next = this.#byTopic.size + 1;
    this.#byTopic.set(topic, next);
    return { alias: next, known: false };
  }

  /** Removes the alias of a topic: the packet that introduced it was not sent. */
  forget(topic: string): void {
    const alias = this.#byTopic.get(topic);
    // Only the newest alias can be removed: its number is then free again.
    if (alias !== undefined && alias === this.#byTopic.size) this.#byTopic.delete(topic);
  }
}
