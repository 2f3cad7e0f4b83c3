/**
 * Which rows of the local file the batches since the last checkpoint have changed. Most messages are queued and
 * acknowledged between two checkpoints: they leave nothing to write.
 *
 * Its size is limited by that of the journal since the last checkpoint.
 *
 * @module
 */
import { BatchReader, bodyMode, operation } from '../store/batch-format.ts';

export class TouchedRows {
  readonly sessions = new Set<number>();
  /** Sessions that were deleted, with subscriptions and packet ids that no operation names. */
  readonly deletedSessions = new Set<number>();
  readonly subscriptions = new Map<number, Set<string>>();
  readonly incoming = new Map<number, Set<number>>();
  /** By sequence. True: no checkpoint has it, so that nothing remains when it is deleted. */
  readonly queue = new Map<number, boolean>();
  /** By row number, as the queue. */
  readonly bodies = new Map<number, boolean>();
  readonly retained = new Set<string>();
  readonly wills = new Set<string>();

  /** Notes the rows of one or several batches. @throws RangeError when the data is no batch */
  note(data: Uint8Array): void {
    const reader = new BatchReader(data);
    while (!reader.done) this.#noteOperation(reader.u8(), reader);
  }

  /** Adds the rows of an earlier checkpoint that was not written. */
  addEarlier(earlier: TouchedRows): void {
    for (const id of earlier.sessions) this.sessions.add(id);
    for (const id of earlier.deletedSessions) this.deletedSessions.add(id);
    for (const [id, filters] of earlier.subscriptions) {
      for (const filter of filters) this.addSubscription(id, filter);
    }
    for (const [id, packets] of earlier.incoming) {
      for (const packet of packets) this.addIncoming(id, packet);
    }
    for (const [mine, theirs] of [
      [this.queue, earlier.queue],
      [this.bodies, earlier.bodies],
    ] as const) {
      for (const [key, isNew] of theirs) mine.set(key, isNew && !mine.has(key));
    }
    for (const topic of earlier.retained) this.retained.add(topic);
    for (const client of earlier.wills) this.wills.add(client);
  }

  addSubscription(session: number, filter: string): void {
    addTo(this.subscriptions, session, filter);
  }

  addIncoming(session: number, packet: number): void {
    addTo(this.incoming, session, packet);
  }

  #noteOperation(code: number, reader: BatchReader): void {
    switch (code) {
      case operation.body: {
        const mode = reader.u8();
        const row = reader.f64();
        reader.bytes();
        if (mode === bodyMode.shared) created(this.bodies, row);
        return;
      }
      case operation.deleteBody:
        return deleted(this.bodies, reader.f64());
      case operation.enqueue:
      case operation.cancelledEnqueue:
        return this.#noteEntry(code, reader);
      case operation.mark:
        changed(this.queue, reader.f64());
        return void reader.u16();
      case operation.release:
        changed(this.queue, reader.f64());
        return void reader.u32();
      case operation.dequeue:
        return deleted(this.queue, reader.f64());
      case operation.putIncoming:
      case operation.deleteIncoming:
        return this.addIncoming(reader.u32(), reader.u16());
      default:
        this.#noteRecord(code, reader);
    }
  }

  #noteEntry(code: number, reader: BatchReader): void {
    reader.u8();
    reader.u16();
    reader.f64();
    reader.u32();
    const sequence = reader.f64();
    reader.u8();
    reader.u32();
    for (let left = reader.u16(); left > 0; left--) reader.u32();
    if (code === operation.enqueue) created(this.queue, sequence);
  }

  #noteRecord(code: number, reader: BatchReader): void {
    switch (code) {
      case operation.putSession:
        this.sessions.add(reader.u32());
        reader.bytes();
        reader.bytes();
        reader.u8();
        reader.u32();
        reader.f64();
        return void reader.f64();
      case operation.deleteSession: {
        const id = reader.u32();
        this.sessions.add(id);
        return void this.deletedSessions.add(id);
      }
      case operation.putSubscription:
        this.addSubscription(reader.u32(), reader.text());
        reader.u8();
        return void reader.u32();
      case operation.deleteSubscription:
        return this.addSubscription(reader.u32(), reader.text());
      case operation.putRetained:
        this.retained.add(reader.text());
        return void reader.bytes();
      case operation.deleteRetained:
        return void this.retained.add(reader.text());
      case operation.putWill:
        this.wills.add(reader.text());
        reader.bytes();
        reader.u32();
        reader.f64();
        reader.f64();
        reader.bytes();
        return void reader.bytes();
      case operation.deleteWill:
        return void this.wills.add(reader.text());
      default:
        throw new RangeError(`unknown operation ${code}`);
    }
  }
}

/** A number can be used again after a restart: then a checkpoint may have the former row. */
function created(rows: Map<number, boolean>, key: number): void {
  if (!rows.has(key)) rows.set(key, true);
}

function changed(rows: Map<number, boolean>, key: number): void {
  if (!rows.has(key)) rows.set(key, false);
}

function deleted(rows: Map<number, boolean>, key: number): void {
  if (rows.get(key) === true) rows.delete(key);
  else rows.set(key, false);
}

function addTo<T>(map: Map<number, Set<T>>, key: number, value: T): void {
  const found = map.get(key);
  if (found === undefined) map.set(key, new Set([value]));
  else found.add(value);
}
