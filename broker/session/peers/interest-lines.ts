/**
 * The lines of the stream on which two partitions announce to each other what their clients subscribe to: JSON, one
 * object for each line.
 *
 * - `{"n":5,"add":[{"filter":"a/+","qos":1}],"remove":["b"]}` announces changes;
 * - `{"n":5,"add":[{"filter":"$share/g/a","qos":1,"identifier":7,"members":2,"offline":1}],"remove":[]}`: a shared
 *   subscription with two members that have a connection and one that has none;
 * - `{"n":6,"synced":true}`: everything was announced that is not new since the link was made;
 * - `{"ack":5}`: the changes of this line are in force and durable.
 *
 * @module
 */
import { z } from 'zod';
import { LineSplitter } from '../../feed/line-splitter.ts';
import { identifierMax } from './shared-name.ts';
import type { Wire, WireHandlers, WriteBuffers } from '../../contracts/connection-wire.ts';

/** A longer line closes the link. */
const lineMaxBytes = 256 * 1024;
const filterMaxChars = 65_535;
/** The smallest entry, `"a",`, has four bytes. */
const entriesMax = lineMaxBytes / 4;
const membersMax = 1_000_000_000;

const numberSchema = z.int().min(1).max(Number.MAX_SAFE_INTEGER);
const filterSchema = z.string().min(1).max(filterMaxChars);
const membersSchema = z.int().min(0).max(membersMax);
const announcedSchema = z.strictObject({
  filter: filterSchema,
  qos: z.literal([0, 1, 2]),
  identifier: z.int().min(1).max(identifierMax).optional(),
  members: membersSchema.optional(),
  offline: membersSchema.optional(),
});
const lineSchema = z.union([
  z.strictObject({ ack: numberSchema }),
  z.strictObject({ n: numberSchema, synced: z.literal(true) }),
  z.strictObject({
    n: numberSchema,
    add: z.array(announcedSchema).max(entriesMax),
    remove: z.array(filterSchema).max(entriesMax),
  }),
]);

export type AnnouncedFilter = z.infer<typeof announcedSchema>;
export type InterestLine = z.infer<typeof lineSchema>;
export type InterestChange = Extract<InterestLine, { readonly add: unknown }>;

export interface InterestLineHandlers {
  /** Throws to close the link. */
  onLine(line: InterestLine): void;
  /** The stream was closed, or violated the protocol. May be called more than once. */
  onEnd(error: unknown): void;
}

/** The lines of one stream. */
export class InterestLines implements WireHandlers {
  readonly #wire: Wire;
  readonly #handlers: InterestLineHandlers;
  readonly #splitter = new LineSplitter(lineMaxBytes);
  #ended = false;

  constructor(wire: Wire, buffers: WriteBuffers, handlers: InterestLineHandlers) {
    this.#wire = wire;
    this.#handlers = handlers;
    wire.listen(this, buffers);
  }

  send(line: InterestLine): void {
    if (this.#ended || !this.#wire.isOpen) return;
    this.#wire.sendBuffer(Buffer.from(`${JSON.stringify(line)}\n`), undefined, undefined);
  }

  destroy(): void {
    this.#ended = true;
    this.#wire.destroy();
  }

  onData(chunk: Buffer): void {
    if (this.#ended) return;
    try {
      // A copy: the splitter keeps the incomplete line longer than the bytes are valid.
      for (const text of this.#splitter.push(Buffer.from(chunk))) {
        this.#handlers.onLine(lineSchema.parse(JSON.parse(text)));
      }
    } catch (error) {
      this.#handlers.onEnd(error);
    }
  }

  onRoom(): void {
    // What is sent is limited by what the other end has acknowledged.
  }

  onClosed(): void {
    if (!this.#ended) this.#handlers.onEnd(undefined);
  }
}
