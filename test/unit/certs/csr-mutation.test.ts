import test from 'ava';
import fc from 'fast-check';
import { createCsr, parseCsr, type Csr } from '../../../certs/csr.ts';
import type { KeyType } from '../../../certs/key.ts';
import { isFlotillaError } from '../../../core/errors/flotilla-error.ts';
import { keyFor } from '../../support/certs-world.ts';

/** For each byte, all eight single-bit changes and three values: the offset and the new value. */
const exhaustive: readonly KeyType[] = ['p256', 'ed25519'];
const sampled: readonly KeyType[] = ['p384', 'rsa2048', 'rsa3072', 'rsa4096'];
const slowestMs = 250;

/** The meaning of a request: everything that affects the decision of the service. */
function meaning({ spki, keyType, commonName, names }: Csr): string {
  return JSON.stringify([spki.toString('hex'), keyType, commonName, names]);
}

/** Returns why a mutant is a fault, or undefined if it was rejected with an error or means the same. */
function scandal(mutant: Uint8Array | string, meant: string): string | undefined {
  // CPU time, because other processes share the machine.
  const started = process.cpuUsage();
  try {
    const seen = meaning(parseCsr(mutant));
    if (seen !== meant) return `taken, and means ${seen}`;
  } catch (error) {
    if (!isFlotillaError(error)) return `threw ${String(error)}`;
    if (!error.code.startsWith('csr-')) return `refused as ${error.code}`;
    if (error.spec.http !== 400 && error.spec.http !== 413) return 'has no status';
  }
  const { user, system } = process.cpuUsage(started);
  const tookMs = (user + system) / 1000;
  return tookMs > slowestMs ? `took ${tookMs} ms` : undefined;
}

async function original(type: KeyType): Promise<{ der: Buffer; meant: string }> {
  const key = await keyFor(type, 'subject');
  const { der } = createCsr({
    key,
    commonName: 'dev-1',
    names: ['gw.example', '192.0.2.1', 'urn:x:1'],
  });
  return { der, meant: meaning(parseCsr(der)) };
}

for (const type of exhaustive) {
  test(`each byte of a ${type} request changed is rejected, or changes nothing`, async (t) => {
    const { der, meant } = await original(type);
    let taken = 0;
    for (let at = 0; at < der.length; at++) {
      const was = der[at]!;
      const changes = new Set([
        0,
        0xff,
        0x30,
        ...Array.from({ length: 8 }, (_, bit) => was ^ (1 << bit)),
      ]);
      changes.delete(was);
      for (const to of changes) {
        const mutant = Buffer.from(der);
        mutant[at] = to;
        const found = scandal(mutant, meant);
        if (found !== undefined) t.fail(`byte ${at}, ${was} to ${to}: ${found}`);
        try {
          parseCsr(mutant);
          taken += 1;
        } catch {
          // Rejected as expected.
        }
      }
    }
    // Every byte is signed or has only one possible value, so no byte can be changed.
    t.is(taken, 0);
  });
}

const mutations = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('set' as const), at: fc.nat(4095), byte: fc.nat(255) }),
    fc.record({ kind: fc.constant('drop' as const), at: fc.nat(4095), byte: fc.nat(8) }),
    fc.record({ kind: fc.constant('insert' as const), at: fc.nat(4095), byte: fc.nat(255) }),
    fc.record({ kind: fc.constant('copy' as const), at: fc.nat(4095), byte: fc.nat(64) }),
  ),
  { minLength: 1, maxLength: 4 },
);

function mutate(der: Buffer, steps: readonly { kind: string; at: number; byte: number }[]): Buffer {
  let bytes = Buffer.from(der);
  for (const { kind, at: anywhere, byte } of steps) {
    const at = anywhere % Math.max(1, bytes.length);
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
    if (kind === 'set') bytes[at] = byte;
    else if (kind === 'drop') bytes = Buffer.concat([before, after.subarray(byte)]);
    else if (kind === 'insert') bytes = Buffer.concat([before, Buffer.from([byte]), after]);
    else bytes = Buffer.concat([before, after.subarray(0, byte), after]);
  }
  return bytes;
}

for (const type of [...exhaustive, ...sampled]) {
  test(`a ${type} request with random mutations is rejected, or means the same`, async (t) => {
    const { der, meant } = await original(type);
    fc.assert(
      fc.property(mutations, fc.boolean(), (steps, asBase64) => {
        const mutant = mutate(der, steps);
        const found = scandal(asBase64 ? mutant.toString('base64') : mutant, meant);
        if (found !== undefined) throw new Error(found);
      }),
      { numRuns: 1500 },
    );
    t.pass();
  });
}

test('random bytes are rejected with their own error', (t) => {
  const noise = fc.oneof(
    fc.uint8Array({ maxLength: 600 }),
    fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.concat([Buffer.from([0x30]), bytes])),
    fc.string({ unit: 'binary', maxLength: 600 }),
    fc.base64String({ maxLength: 600 }),
  );
  fc.assert(
    fc.property(noise, (input) => {
      const found = scandal(input, 'nothing');
      if (found !== undefined) throw new Error(found);
    }),
    { numRuns: 3000 },
  );
  t.pass();
});

test('well-formed DER that is not a request is rejected with its own error', (t) => {
  const { der: tree } = fc.letrec<{ der: Buffer }>((tie) => ({
    der: fc.oneof(
      { maxDepth: 6 },
      fc
        .tuple(
          fc.constantFrom(0x02, 0x03, 0x04, 0x05, 0x06, 0x0c, 0x13, 0x17, 0x80, 0x86),
          fc.uint8Array({ maxLength: 12 }),
        )
        .map(([tag, bytes]) => Buffer.concat([Buffer.from([tag, bytes.length]), bytes])),
      fc
        .tuple(fc.constantFrom(0x30, 0x31, 0xa0, 0xa1), fc.array(tie('der'), { maxLength: 4 }))
        .filter(([, parts]) => parts.reduce((sum, part) => sum + part.length, 0) < 128)
        .map(([tag, parts]) => {
          const content = Buffer.concat(parts);
          return Buffer.concat([Buffer.from([tag, content.length]), content]);
        }),
    ),
  }));
  fc.assert(
    fc.property(tree, (der) => {
      const found = scandal(der, 'nothing');
      if (found !== undefined) throw new Error(found);
    }),
    { numRuns: 3000 },
  );
  t.pass();
});
