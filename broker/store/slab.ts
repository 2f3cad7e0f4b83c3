/**
 * Many small records outside of the JavaScript heap, without an object for each: pages of equal slots, one
 * size for each page. A record is named by a small integer.
 *
 * @module
 */

const pageBytes = 256 * 1024;
/** Sizes of slots are multiples of this; larger records have larger steps. */
const smallStepBytes = 8;
const smallMaxBytes = 256;
const largeStepBytes = 64;
/** The largest record. */
export const recordMaxBytes = 1280;
/** A name is the number of the page times this, and the number of the slot. */
const slotsMax = pageBytes / smallStepBytes;
const none = 0xffff;

interface Page {
  readonly bytes: Buffer;
  readonly number: number;
  readonly slotBytes: number;
  /** The first free slot, which contains the number of the next one. */
  free: number;
  /** Slots from here on were never used. */
  fresh: number;
  used: number;
}

export class Slab {
  readonly #pages: (Page | undefined)[] = [];
  /** Numbers of pages that were released. */
  readonly #freeNumbers: number[] = [];
  /** By the size of their slots: pages with free slots. */
  readonly #open = new Map<number, Set<Page>>();

  /** The memory of all pages. */
  get bytes(): number {
    return (this.#pages.length - this.#freeNumbers.length) * pageBytes;
  }

  /** Reserves room for a record of up to {@link recordMaxBytes}. @returns its name */
  add(bytes: number): number {
    const slotBytes = slotBytesOf(bytes);
    const [page = this.#newPage(slotBytes)] = this.#open.get(slotBytes) ?? [];
    let slot = page.free;
    if (slot === none) slot = page.fresh++;
    else page.free = page.bytes.readUInt16LE(slot * slotBytes);
    page.used++;
    if (isFull(page)) this.#open.get(slotBytes)?.delete(page);
    return page.number * slotsMax + slot;
  }

  /** The memory of a record, and some bytes behind it. Valid until the record is removed. */
  at(name: number): Buffer {
    const { page, slot } = this.#find(name);
    return page.bytes.subarray(slot * page.slotBytes, (slot + 1) * page.slotBytes);
  }

  /** Removes a record. A page without records is released. */
  remove(name: number): void {
    const { page, slot } = this.#find(name);
    const wasFull = isFull(page);
    page.used--;
    if (page.used === 0) {
      this.#open.get(page.slotBytes)?.delete(page);
      this.#pages[page.number] = undefined;
      this.#freeNumbers.push(page.number);
      return;
    }
    page.bytes.writeUInt16LE(page.free, slot * page.slotBytes);
    page.free = slot;
    if (wasFull) this.#open.get(page.slotBytes)?.add(page);
  }

  #find(name: number): { page: Page; slot: number } {
    const page = this.#pages[Math.floor(name / slotsMax)];
    if (page === undefined) throw new RangeError(`there is no record ${name}`);
    return { page, slot: name % slotsMax };
  }

  #newPage(slotBytes: number): Page {
    const number = this.#freeNumbers.pop() ?? this.#pages.length;
    // Not from the pool of small buffers, which would keep other memory alive.
    const bytes = Buffer.allocUnsafeSlow(pageBytes);
    const page: Page = { bytes, number, slotBytes, free: none, fresh: 0, used: 0 };
    this.#pages[number] = page;
    const open = this.#open.get(slotBytes);
    if (open === undefined) this.#open.set(slotBytes, new Set([page]));
    else open.add(page);
    return page;
  }
}

function isFull({ free, fresh, slotBytes }: Page): boolean {
  return free === none && (fresh + 1) * slotBytes > pageBytes;
}

function slotBytesOf(bytes: number): number {
  if (bytes > recordMaxBytes) throw new RangeError(`a record of ${bytes} bytes`);
  const step = bytes <= smallMaxBytes ? smallStepBytes : largeStepBytes;
  return Math.max(smallStepBytes, Math.ceil(bytes / step) * step);
}
