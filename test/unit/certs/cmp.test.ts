import test from 'ava';
import fc from 'fast-check';
import {
  passwordMacIterationsMax,
  pbmac1IterationsMax,
  encodeMac,
  isMacAlgorithm,
  macOf,
  readMac,
} from '../../../certs/cmp-mac.ts';
import { cmpMessageMaxBytes, parseCmp, readCmp } from '../../../certs/cmp-message.ts';
import { readCrmf } from '../../../certs/crmf.ts';
import { decodeDer } from '../../../certs/der.ts';
import { sequence } from '../../../certs/der-encode.ts';
import { generateKeySync } from '../../../certs/key.ts';
import { isFlotillaError } from '../../../core/errors/flotilla-error.ts';
import { crmfOf, macMessage, passwordMac, pbmac1 } from '../../support/cmp-client.ts';

const secret = { reference: 'a'.repeat(64), token: 'a secret' };
const key = generateKeySync('p256');

function request(): Promise<Buffer> {
  const value = crmfOf({ key, commonName: 'dev-1' });
  return macMessage(secret, passwordMac(100), { body: 'ir', value });
}

/** Whether the service would take a message, as far as certs/ decides it. */
async function isTaken(message: Buffer): Promise<boolean> {
  try {
    const { header, body, protectedPart, protection } = parseCmp(message);
    const { algorithm } = header;
    if (algorithm === undefined || protection === undefined) return false;
    if (!readCmp(() => isMacAlgorithm(algorithm))) return false;
    const mac = readCmp(() => readMac(algorithm));
    const expected = await macOf(mac, Buffer.from(secret.token), protectedPart);
    if (!expected.equals(protection)) return false;
    readCmp(() => readCrmf(body));
    return true;
  } catch (error) {
    if (isFlotillaError(error)) return false;
    throw error;
  }
}

const edits = fc.array(
  fc.record({
    kind: fc.constantFrom('set', 'drop', 'insert', 'double'),
    at: fc.nat(4095),
    byte: fc.nat(255),
  }),
  { minLength: 1, maxLength: 4 },
);

test('no message that was changed is taken, and none is refused without a code', async (t) => {
  const original = await request();
  t.true(await isTaken(original));
  await fc.assert(
    fc.asyncProperty(edits, async (list) => {
      let bytes: Buffer = Buffer.from(original);
      for (const { kind, at, byte } of list) {
        const place = at % (bytes.length + 1);
        const before = bytes.subarray(0, place);
        const [cut, added] =
          kind === 'insert'
            ? [0, [byte]]
            : kind === 'set'
              ? [1, [byte]]
              : [kind === 'drop' ? 1 : 0, []];
        const again = kind === 'double' ? bytes.subarray(place, place + byte) : Buffer.alloc(0);
        bytes = Buffer.concat([before, Buffer.from(added), again, bytes.subarray(place + cut)]);
      }
      return bytes.equals(original) || !(await isTaken(bytes));
    }),
    { numRuns: 3000 },
  );
  for (let length = 0; length < original.length; length++) {
    t.throws(() => parseCmp(original.subarray(0, length)), { code: 'cmp-malformed' });
  }
});

test('no byte of a certificate request can be changed', (t) => {
  const original = crmfOf({ key, commonName: 'dev-1' });
  const read = (bytes: Buffer): ReturnType<typeof readCrmf> =>
    readCmp(() => readCrmf(decodeDer(bytes, { maxBytes: cmpMessageMaxBytes })));
  const { csr } = read(original);
  t.is(csr.commonName, 'dev-1');
  t.is(csr.keyType, 'p256');
  for (let at = 0; at < original.length; at++) {
    for (const to of [
      0,
      0xff,
      0x30,
      ...Array.from({ length: 8 }, (_, bit) => original[at]! ^ (1 << bit)),
    ]) {
      if (to === original[at]) continue;
      const mutant = Buffer.from(original);
      mutant[at] = to;
      const error = t.throws(() => read(mutant), undefined, `byte ${at} to ${to}`);
      if (!isFlotillaError(error)) t.fail(`byte ${at} to ${to}: ${String(error)}`);
    }
  }
});

test('messages are bounded: size, depth, certificates, and the work for a MAC', async (t) => {
  const malformed = { code: 'cmp-malformed' };
  t.throws(() => parseCmp(Buffer.alloc(cmpMessageMaxBytes + 1, 0x30)), malformed);
  let deep: Buffer = Buffer.from([5, 0]);
  for (let i = 0; i < 1000; i++) deep = sequence(deep);
  t.throws(() => parseCmp(deep), malformed);
  const value = crmfOf({ key, commonName: 'dev-1' });
  const many = await macMessage(secret, pbmac1(), {
    body: 'ir',
    value,
    certificates: Array.from({ length: 17 }, () => sequence()),
  });
  t.throws(() => parseCmp(many), malformed);
  const accept = (mac: ReturnType<typeof pbmac1>): unknown =>
    readMac(decodeDer(encodeMac(mac), { maxBytes: 1024 }));
  t.notThrows(() => accept(passwordMac(passwordMacIterationsMax)));
  t.notThrows(() => accept(pbmac1(pbmac1IterationsMax)));
  const refused = { code: 'cmp-algorithm-refused' };
  t.throws(() => accept(passwordMac(passwordMacIterationsMax + 1)), refused);
  t.throws(() => accept(pbmac1(pbmac1IterationsMax + 1)), refused);
  t.throws(() => accept(passwordMac(99)), refused);
  t.throws(() => accept({ ...pbmac1(), salt: Buffer.alloc(129) }), refused);
});
