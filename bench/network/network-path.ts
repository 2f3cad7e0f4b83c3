/**
 * What the network does to some connections of a proxy: nothing, or a fault that a test or a benchmark controls.
 *
 * @module
 */
export type PathDirection = 'toServer' | 'toClient';

/** A connection that takes a path. */
export interface PathConnection {
  /** The faults have changed. */
  pump(): void;
  reset(): void;
}

export class NetworkPath {
  readonly #connections = new Set<PathConnection>();
  readonly #blackHoles = new Set<PathDirection>();
  #delayMs = 0;
  #refuses = false;

  /** The connections that are open. */
  get connections(): number {
    return this.#connections.size;
  }

  /** How long each byte takes in each direction, in ms. */
  get delayMs(): number {
    return this.#delayMs;
  }

  get refuses(): boolean {
    return this.#refuses;
  }

  isBlackHole(direction: PathDirection): boolean {
    return this.#blackHoles.has(direction);
  }

  /** Ends all faults. What was sent during a black hole arrives now, as TCP sends it again. */
  pass(): void {
    this.#blackHoles.clear();
    this.#delayMs = 0;
    this.#refuses = false;
    this.#changed();
  }

  /**
   * From now on, nothing arrives, and nobody learns that a connection was closed. New connections are accepted, but do
   * not reach the server.
   */
  blackHole(...directions: readonly PathDirection[]): void {
    const chosen: readonly PathDirection[] =
      directions.length === 0 ? ['toServer', 'toClient'] : directions;
    for (const one of chosen) this.#blackHoles.add(one);
  }

  /** @param ms for each direction */
  delay(ms: number): void {
    this.#delayMs = ms;
    this.#changed();
  }

  /** New connections are reset. Those that are open continue. */
  refuse(): void {
    this.#refuses = true;
  }

  /** Resets all open connections. New ones work. @returns how many there were */
  reset(): number {
    const all = [...this.#connections];
    for (const connection of all) connection.reset();
    return all.length;
  }

  /** @internal */
  add(connection: PathConnection): void {
    this.#connections.add(connection);
  }

  /** @internal */
  remove(connection: PathConnection): void {
    this.#connections.delete(connection);
  }

  #changed(): void {
    for (const connection of this.#connections) connection.pump();
  }
}
