/**
 * Messages between controller and agent as MQTT payloads: JSON, split into chunks that any broker
 * accepts.
 *
 * @module
 */
import { z } from 'zod';

/** The most characters of JSON in one chunk. */
export const chunkMaxChars = 96 * 1024;
/** The most chunks of one message: 24 MiB. */
const chunksMax = 256;
/** The most messages that may be incomplete at the same time. */
const pendingMax = 16;

const chunkSchema = z.strictObject({
  /** The id of the message. */
  m: z.string().max(64),
  /** The index of this chunk, and the number of chunks. */
  i: z.int().min(0),
  n: z.int().min(1).max(chunksMax),
  d: z.string().max(chunkMaxChars),
});

/** The topic on which an agent receives calls. */
export function callTopic(agent: string): string {
  return `devices/${agent}/commands/sim-agent`;
}

/** The topic on which an agent sends replies. */
export function replyTopic(agent: string): string {
  return `devices/${agent}/sim-agent`;
}

/** Splits a message into payloads, in order. */
export function splitMessage(message: unknown, id: string): string[] {
  const text = JSON.stringify(message);
  const count = Math.max(1, Math.ceil(text.length / chunkMaxChars));
  return Array.from({ length: count }, (_item, index) =>
    JSON.stringify({
      m: id,
      i: index,
      n: count,
      d: text.slice(index * chunkMaxChars, (index + 1) * chunkMaxChars),
    }),
  );
}

/**
 * Assembles messages from chunks. Malformed chunks are dropped, and the oldest incomplete message when
 * there are too many.
 */
export class MessageAssembler {
  readonly #pending = new Map<string, { parts: (string | undefined)[]; missing: number }>();

  /** @returns the message when this was its last chunk */
  add(payload: Buffer): unknown {
    const chunk = read(payload);
    if (chunk === undefined || chunk.i >= chunk.n) return undefined;
    let entry = this.#pending.get(chunk.m);
    if (entry === undefined) {
      if (this.#pending.size >= pendingMax) {
        const [oldest] = this.#pending.keys();
        if (oldest !== undefined) this.#pending.delete(oldest);
      }
      entry = { parts: new Array<string | undefined>(chunk.n).fill(undefined), missing: chunk.n };
      this.#pending.set(chunk.m, entry);
    }
    if (entry.parts.length !== chunk.n || entry.parts[chunk.i] !== undefined) return undefined;
    entry.parts[chunk.i] = chunk.d;
    entry.missing--;
    if (entry.missing > 0) return undefined;
    this.#pending.delete(chunk.m);
    try {
      return JSON.parse(entry.parts.join('')) as unknown;
    } catch {
      return undefined;
    }
  }
}

function read(payload: Buffer): z.infer<typeof chunkSchema> | undefined {
  try {
    const result = chunkSchema.safeParse(JSON.parse(payload.toString('utf8')));
    return result.success ? result.data : undefined;
  } catch {
    return undefined;
  }
}
