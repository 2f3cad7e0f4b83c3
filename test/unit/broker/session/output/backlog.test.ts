import test from 'ava';
import fc from 'fast-check';
import { Backlog } from '../../../../../broker/session/output/backlog.ts';
import { WriteBatch } from '../../../../../broker/session/output/write-batch.ts';
import { unpooledBuffer, BufferPool } from '../../../../../broker/session/output/buffer-pool.ts';

function batchOf(bytes: Buffer): WriteBatch {
  const batch = new WriteBatch();
  batch.add(bytes, 0, bytes.length);
  return batch;
}

test('a released buffer is reused for the same size and smaller', (t) => {
  const pool = new BufferPool();
  const first = pool.acquire(5000);
  t.true(first.bytes.length >= 5000);
  const second = pool.acquire(5000);
  t.not(second.bytes.buffer, first.bytes.buffer);
  t.is(pool.freeBytes, 0);
  first.release();
  t.is(pool.freeBytes, first.bytes.length);
  t.is(pool.acquire(4097), first);
  t.is(pool.freeBytes, 0);
});

test('a buffer is at least as long as requested, and not much longer', (t) => {
  const pool = new BufferPool();
  for (const size of [0, 1, 4095, 4096, 4097, 65_535, 65_536, 65_537, 131_072, 131_073, 524_288]) {
    const { length } = pool.acquire(size).bytes;
    t.true(length >= size, `${size}: ${length}`);
    t.true(length <= Math.max(2 * size, 4096), `${size}: ${length}`);
  }
});

test('the release callback of a buffer is called once', (t) => {
  const buffer = new BufferPool().acquire(4096);
  let calls = 0;
  buffer.onRelease = () => calls++;
  buffer.release();
  t.is(calls, 1);
  t.notThrows(() => buffer.release());
  t.is(calls, 1);
});

test('the free buffers are limited, and large ones are not reused', (t) => {
  const pool = new BufferPool();
  const acquired = Array.from({ length: 40 }, () => pool.acquire(512 * 1024));
  for (const buffer of acquired) buffer.release();
  t.is(pool.freeBytes, 16 * 1024 * 1024);
  const other = new BufferPool();
  other.acquire(512 * 1024 + 1).release();
  t.is(other.freeBytes, 0);
});

test('an unpooled buffer is not reused', (t) => {
  const buffer = unpooledBuffer(10);
  t.is(buffer.bytes.length, 10);
  t.notThrows(() => buffer.release());
});

test('a backlog returns its bytes in order, in chunks of limited size, and releases its buffers', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 12 }),
      fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }),
      fc.boolean(),
      (sizes, takes, pooled) => {
        const pool = new BufferPool();
        const backlog = new Backlog(pooled ? pool : undefined, { bytes: 0 });
        const put: Buffer[] = [];
        const got: Buffer[] = [];
        const take = (): boolean => {
          const chunk = backlog.shift();
          if (chunk === undefined) return false;
          if (chunk.bytes.length > 64 * 1024) throw new Error('a chunk is too large');
          got.push(Buffer.from(chunk.bytes));
          if (chunk.buffer !== undefined) {
            // A buffer that is released too early would send these bytes.
            chunk.buffer.bytes.fill(0xee);
            chunk.buffer.release();
          }
          return true;
        };
        for (const [index, size] of sizes.entries()) {
          const bytes = Buffer.alloc(size, index + 1);
          put.push(bytes);
          backlog.add(batchOf(bytes));
          if (takes[index] === true) take();
        }
        while (take());
        return (
          Buffer.concat(got).equals(Buffer.concat(put)) &&
          backlog.bytes === 0 &&
          backlog.isEmpty &&
          pool.freeBytes > 0 === pooled
        );
      },
    ),
    { numRuns: 200 },
  );
  t.pass();
});

test('a backlog that is cleared releases its buffers, including the one that is half written', (t) => {
  const pool = new BufferPool();
  const backlog = new Backlog(pool, { bytes: 0 });
  backlog.add(batchOf(Buffer.alloc(100_000)));
  backlog.add(batchOf(Buffer.alloc(100_000)));
  t.is(backlog.shift()?.bytes.length, 64 * 1024);
  t.is(backlog.bytes, 200_000 - 64 * 1024);
  backlog.clear();
  t.is(backlog.bytes, 0);
  t.true(backlog.isEmpty);
  t.is(pool.freeBytes, 2 * 128 * 1024);
});
