/**
 * Numbers for names that many records share, for example the identities of retained messages. A name is
 * removed with its last use.
 *
 * @module
 */
import { WideMap } from '../../core/wide-map.ts';

export class NameTable {
  readonly #numbers = new WideMap<string, number>();
  readonly #names: string[] = [];
  readonly #uses: number[] = [];
  readonly #free: number[] = [];

  get size(): number {
    return this.#numbers.size;
  }

  /** Counts one more use of a name. @returns its number */
  use(name: string): number {
    const known = this.#numbers.get(name);
    if (known !== undefined) {
      this.#uses[known] = (this.#uses[known] ?? 0) + 1;
      return known;
    }
    const number = this.#free.pop() ?? this.#names.length;
    this.#numbers.set(name, number);
    this.#names[number] = name;
    this.#uses[number] = 1;
    return number;
  }

  nameOf(number: number): string | undefined {
    return this.#names[number];
  }

  /** Counts one use less. */
  release(number: number): void {
    const name = this.#names[number];
    const uses = (this.#uses[number] ?? 0) - 1;
    this.#uses[number] = uses;
    if (uses > 0 || name === undefined) return;
    this.#numbers.delete(name);
    this.#names[number] = '';
    this.#free.push(number);
  }
}
