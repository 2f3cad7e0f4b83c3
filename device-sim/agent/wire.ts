/**
 * Words between controller and agent as MQTT payloads: JSON, cut into pieces that any broker takes.
 *
 * @module
 */
import { z } from 'zod';

/** A piece carries at most so many characters of JSON. */
export const pieceMaxChars = 96 * 1024;
/** A whole word: at most so many pieces (24 MiB). */
const piecesMax = 256;
/** So many words may be incomplete at a time. */
const pendingMax = 16;

const pieceSchema = z.strictObject({
  /** Which word. */
  m: z.string().max(64),
  /** Which piece, of how many. */
  i: z.int().min(0),
  n: z.int().min(1).max(piecesMax),
  d: z.string().max(pieceMaxChars),
});

/** Where an agent listens. */
export function callTopic(agent: string): string {
  return `devices/${agent}/commands/sim-agent`;
}

/** Where an agent answers. */
export function answerTopic(agent: string): string {
  return `devices/${agent}/sim-agent`;
}

/** The payloads of one word, in order. */
export function cut(word: unknown, id: string): string[] {
  const text = JSON.stringify(word);
  const count = Math.max(1, Math.ceil(text.length / pieceMaxChars));
  return Array.from({ length: count }, (_item, index) =>
    JSON.stringify({
      m: id,
      i: index,
      n: count,
      d: text.slice(index * pieceMaxChars, (index + 1) * pieceMaxChars),
    }),
  );
}

/** Puts pieces together again. Anything malformed is dropped, the oldest word when there are too many. */
export class Joiner {
  readonly #pending = new Map<string, { parts: (string | undefined)[]; missing: number }>();

  /** @returns the word when this was its last piece */
  add(payload: Buffer): unknown {
    const piece = read(payload);
    if (piece === undefined || piece.i >= piece.n) return undefined;
    let word = this.#pending.get(piece.m);
    if (word === undefined) {
      if (this.#pending.size >= pendingMax) {
        const [oldest] = this.#pending.keys();
        if (oldest !== undefined) this.#pending.delete(oldest);
      }
      word = { parts: new Array<string | undefined>(piece.n).fill(undefined), missing: piece.n };
      this.#pending.set(piece.m, word);
    }
    if (word.parts.length !== piece.n || word.parts[piece.i] !== undefined) return undefined;
    word.parts[piece.i] = piece.d;
    word.missing--;
    if (word.missing > 0) return undefined;
    this.#pending.delete(piece.m);
    try {
      return JSON.parse(word.parts.join('')) as unknown;
    } catch {
      return undefined;
    }
  }
}

function read(payload: Buffer): z.infer<typeof pieceSchema> | undefined {
  try {
    const result = pieceSchema.safeParse(JSON.parse(payload.toString('utf8')));
    return result.success ? result.data : undefined;
  } catch {
    return undefined;
  }
}
