/** The packets between nodes: any bytes are decoded or refused, and never throw. */
import test from 'ava';
import fc from 'fast-check';
import {
  decodePeerPacket,
  encodePeerHeader,
  peerHeaderBytes,
  peerNumberMax,
  writePeerHeader,
  type PeerHeader,
} from '../../../../broker/cluster/peer-packet.ts';

const number = fc.oneof(
  fc.integer({ min: 0, max: 100 }),
  fc.integer({ min: 0, max: peerNumberMax }),
);
const incarnation = fc.integer({ min: 1, max: peerNumberMax });

test('what is encoded is decoded', (t) => {
  const header = fc.record({
    kind: fc.constantFrom<PeerHeader['kind']>('ack', 'probe', 'report'),
    from: incarnation,
    to: number,
    number,
    confirmed: number,
  });
  t.notThrows(() =>
    fc.assert(
      fc.property(header, (one) => {
        const packet = decodePeerPacket(encodePeerHeader(one));
        const isValid = one.kind === 'ack' || one.confirmed <= one.number;
        return isValid
          ? packet !== undefined &&
              Object.entries(one).every(([k, v]) => packet[k as keyof PeerHeader] === v)
          : packet === undefined;
      }),
    ),
  );
  const numbered = Buffer.from('numbered');
  const unnumbered = Buffer.from('rest');
  const bytes = Buffer.concat([Buffer.alloc(peerHeaderBytes), numbered, unnumbered]);
  writePeerHeader(
    bytes,
    { kind: 'batch', from: 1, to: 2, number: 7, confirmed: 6 },
    numbered.length,
  );
  const packet = decodePeerPacket(bytes);
  t.deepEqual(packet?.numbered, numbered);
  t.deepEqual(packet?.unnumbered, unnumbered);
});

test('any bytes are decoded or refused', (t) => {
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.integer({ min: 0, max: 5 }), (any, kind) => {
        const bytes = Buffer.from(any);
        if (bytes.length > 1) bytes.set([1, kind]);
        const packet = decodePeerPacket(bytes);
        if (packet === undefined) return;
        if (packet.numbered.length + packet.unnumbered.length + peerHeaderBytes !== bytes.length) {
          throw new Error('bytes are missing');
        }
      }),
      { numRuns: 2000 },
    ),
  );
  const batch = (fields: Partial<PeerHeader>, length = 0, rest = 0): Buffer => {
    const bytes = Buffer.alloc(peerHeaderBytes + length + rest);
    writePeerHeader(
      bytes,
      { kind: 'batch', from: 1, to: 1, number: 1, confirmed: 0, ...fields },
      length,
    );
    return bytes;
  };
  t.truthy(decodePeerPacket(batch({}, 1)));
  t.is(decodePeerPacket(batch({ from: 0 }, 1)), undefined);
  t.is(decodePeerPacket(batch({ number: 0 }, 1)), undefined);
  t.is(decodePeerPacket(batch({ number: 1 }, 0, 1)), undefined);
  t.is(decodePeerPacket(batch({ confirmed: 1 }, 1)), undefined);
  t.is(decodePeerPacket(batch({}, 3).subarray(0, peerHeaderBytes + 2)), undefined);
});
