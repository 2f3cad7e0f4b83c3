import test from 'ava';
import fc from 'fast-check';
import { Backlog } from '../../../../../broker/session/output/backlog.ts';
import { WriteBatch } from '../../../../../broker/session/output/write-batch.ts';
import { unpooledBuffer, BufferPool } from '../../../../../broker/session/output/buffer-pool.ts';

function boxOf(bytes: Buffer): WriteBatch {
  const box = new WriteBatch();
  box.add(bytes, 0, bytes.length);
  return box;
}

test('a block that came back is lent again, for the same size and smaller', (t) => {
  const blocks = new BufferPool();
  const first = blocks.acquire(5000);
  t.true(first.bytes.length >= 5000);
  const second = blocks.acquire(5000);
  t.not(second.bytes.buffer, first.bytes.buffer);
  t.is(blocks.freeBytes, 0);
  first.release();
  t.is(blocks.freeBytes, first.bytes.length);
  t.is(blocks.acquire(4097), first);
  t.is(blocks.freeBytes, 0);
});

test('a block is as long as was asked for, and not much longer', (t) => {
  const blocks = new BufferPool();
  for (const size of [0, 1, 4095, 4096, 4097, 65_535, 65_536, 65_537, 131_072, 131_073, 524_288]) {
    const { length } = blocks.acquire(size).bytes;
    t.true(length >= size, `${size}: ${length}`);
    t.true(length <= Math.max(2 * size, 4096), `${size}: ${length}`);
  }
});

test('whoever waits for a block to come back is told once', (t) => {
  const block = new BufferPool().acquire(4096);
  let told = 0;
  block.onRelease = () => told++;
  block.release();
  t.is(told, 1);
  t.notThrows(() => block.release());
  t.is(told, 1);
});

test('what is kept of blocks is bounded, and large ones are not kept', (t) => {
  const blocks = new BufferPool();
  const lent = Array.from({ length: 40 }, () => blocks.acquire(512 * 1024));
  for (const block of lent) block.release();
  t.is(blocks.freeBytes, 16 * 1024 * 1024);
  const other = new BufferPool();
  other.acquire(512 * 1024 + 1).release();
  t.is(other.freeBytes, 0);
});

test('a block of its own is not lent again', (t) => {
  const block = unpooledBuffer(10);
  t.is(block.bytes.length, 10);
  t.notThrows(() => block.release());
});

test('what goes through a backlog comes out in order, in pieces of bounded size, and its blocks come back', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 12 }),
      fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }),
      fc.boolean(),
      (sizes, takes, lends) => {
        const blocks = new BufferPool();
        const backlog = new Backlog(lends ? blocks : undefined);
        const put: Buffer[] = [];
        const got: Buffer[] = [];
        const take = (): boolean => {
          const piece = backlog.shift();
          if (piece === undefined) return false;
          if (piece.bytes.length > 64 * 1024) throw new Error('a piece is too large');
          got.push(Buffer.from(piece.bytes));
          if (piece.buffer !== undefined) {
            // Who gives a block back too early would send this.
            piece.buffer.bytes.fill(0xee);
            piece.buffer.release();
          }
          return true;
        };
        for (const [index, size] of sizes.entries()) {
          const bytes = Buffer.alloc(size, index + 1);
          put.push(bytes);
          backlog.add(boxOf(bytes));
          if (takes[index] === true) take();
        }
        while (take());
        return (
          Buffer.concat(got).equals(Buffer.concat(put)) &&
          backlog.bytes === 0 &&
          backlog.isEmpty &&
          blocks.freeBytes > 0 === lends
        );
      },
    ),
    { numRuns: 200 },
  );
  t.pass();
});

test('a backlog that is forgotten gives its blocks back, the one that is half written too', (t) => {
  const blocks = new BufferPool();
  const backlog = new Backlog(blocks);
  backlog.add(boxOf(Buffer.alloc(100_000)));
  backlog.add(boxOf(Buffer.alloc(100_000)));
  t.is(backlog.shift()?.bytes.length, 64 * 1024);
  t.is(backlog.bytes, 200_000 - 64 * 1024);
  backlog.clear();
  t.is(backlog.bytes, 0);
  t.true(backlog.isEmpty);
  t.is(blocks.freeBytes, 2 * 128 * 1024);
});
