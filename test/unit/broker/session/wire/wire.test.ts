import test from 'ava';
import fc from 'fast-check';
import { generate, parser, type Packet } from 'mqtt-packet';
import { deliveryProperties, Message } from '../../../../../broker/session/delivery/message.ts';
import { WriteBatch } from '../../../../../broker/session/output/write-batch.ts';
import { suback, unsuback } from '../../../../../broker/session/wire/answers.ts';
import { Framer } from '../../../../../broker/session/wire/framer.ts';
import { PacketReader } from '../../../../../broker/session/wire/reader.ts';
import { readProperties } from '../../../../../broker/session/wire/properties.ts';

const unlimited = { bytes: 0, shareOf: (maxBytes: number) => maxBytes };

test('packets are the same however they are split into chunks', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 10 }),
      fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 20 }),
      fc.boolean(),
      (payloads, sizes, stops) => {
        const packets = payloads.map((payload, index) =>
          generate({
            cmd: 'publish',
            topic: `t/${index}`,
            payload: Buffer.from(payload),
            qos: 0,
            dup: false,
            retain: false,
          }),
        );
        const stream = Buffer.concat(packets);
        const got: Buffer[] = [];
        const framer = new Framer(1000, unlimited, (bytes, start, body, end) => {
          got.push(Buffer.from(bytes.subarray(start, end)));
          if (bytes[body] !== 0) throw new Error('the body does not begin with its topic');
          return !stops;
        });
        for (let at = 0, n = 0; at < stream.length; n++) {
          const size = sizes[n % sizes.length]!;
          framer.push(stream.subarray(at, at + size));
          at += size;
        }
        for (let n = 0; n < packets.length && stops; n++) framer.resume();
        return (
          Buffer.concat(got).equals(stream) &&
          got.length === packets.length &&
          framer.bufferedBytes === 0
        );
      },
    ),
  );
  t.pass();
});

test('SUBACK and UNSUBACK are the packets that the codec of Aedes writes', (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom(3, 4, 5),
      fc.integer({ min: 1, max: 65_535 }),
      fc.array(fc.constantFrom(0, 1, 2, 0x80, 0x87, 0x97), { minLength: 1, maxLength: 200 }),
      (version, messageId, granted) => {
        const options = { protocolVersion: version };
        const codes = version === 5 ? granted : [];
        t.deepEqual(
          suback(version, messageId, granted),
          generate({ cmd: 'suback', messageId, granted }, options),
        );
        t.deepEqual(
          unsuback(version, messageId, granted),
          generate({ cmd: 'unsuback', messageId, granted: codes }, options),
        );
      },
    ),
  );
});

test('the buffer of an incomplete packet grows with the received bytes, not with the Remaining Length', (t) => {
  const framer = new Framer(100 * 1024 * 1024, unlimited, () => true);
  framer.push(Buffer.from('30ffffff1f', 'hex'));
  framer.push(Buffer.alloc(10));
  t.is(framer.bufferedBytes, 15);
});

test('random bytes never make the property decoder throw anything but a ProtocolFault, or read too far', (t) => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 60 }),
      fc.constantFrom(
        'connect',
        'will',
        'publish',
        'subscribe',
        'disconnect',
        'auth',
        'acknowledgement',
        'unsubscribe',
      ),
      (bytes, place) => {
        const reader = new PacketReader(Buffer.from(bytes), 0, bytes.length);
        try {
          readProperties(reader, place);
        } catch (error) {
          return error instanceof Error && error.name === 'ProtocolFault';
        }
        return reader.at <= bytes.length;
      },
    ),
    { numRuns: 5000 },
  );
  t.pass();
});

test('the bytes behind a packet that pauses, and those that arrive meanwhile, are copied', (t) => {
  const got: string[] = [];
  const framer = new Framer(1000, unlimited, (bytes, start, _body, end) => {
    got.push(bytes.toString('hex', start, end));
    return false;
  });
  const push = (hex: string): void => {
    const chunk = Buffer.from(hex, 'hex');
    framer.push(chunk);
    chunk.fill(0xdb);
  };
  push('300101300102300103');
  push('300104');
  while (got.length < 4) framer.resume();
  t.deepEqual(got, ['300101', '300102', '300103', '300104']);
});

test('mqtt-packet decodes what the broker encodes, in each protocol family, with and without packet id', (t) => {
  fc.assert(
    fc.property(
      fc.string({ minLength: 1, maxLength: 200 }).filter((text) => text.isWellFormed()),
      fc.uint8Array({ maxLength: 20_000 }),
      fc.constantFrom<(0 | 1 | 2)[]>(0, 1, 2),
      fc.boolean(),
      fc.array(fc.integer({ min: 1, max: 268_435_455 }), { maxLength: 3 }),
      fc.option(fc.nat(4_294_967_295), { nil: undefined }),
      (topic, payload, qos, isMqtt5, identifiers, expiry) => {
        const bytes = Buffer.from(payload);
        const message = Message.from(topic, qos, false, bytes);
        const encoded = isMqtt5
          ? message.encode(true, qos > 0, deliveryProperties(message, expiry, identifiers, 0))
          : message.encodedForAll(false, qos > 0);
        const batch = new WriteBatch();
        batch.addPatched(
          encoded.bytes,
          encoded.start,
          encoded.end,
          encoded.packetIdAt,
          0x30 | (qos << 1),
          4660,
        );
        const packets: Packet[] = [];
        const codec = parser({ protocolVersion: isMqtt5 ? 5 : 4 });
        codec.on('packet', (packet) => packets.push(packet));
        codec.parse(batch.join());
        const [packet] = packets;
        if (packet?.cmd !== 'publish') return false;
        const ids = [packet.properties?.subscriptionIdentifier ?? []].flat();
        return (
          packets.length === 1 &&
          packet.topic === topic &&
          bytes.equals(packet.payload as Buffer) &&
          packet.qos === qos &&
          (qos === 0 || packet.messageId === 4660) &&
          (!isMqtt5 ||
            (ids.join() === identifiers.join() &&
              packet.properties?.messageExpiryInterval === expiry))
        );
      },
    ),
    { numRuns: 200 },
  );
  t.pass();
});

test('a write batch joins adjacent views, patches only copies, and keeps its order', (t) => {
  const chunk = Buffer.from('300400016101300400016102320600016100ff03', 'hex');
  const batch = new WriteBatch();
  batch.add(chunk, 0, 6);
  batch.add(chunk, 6, 12);
  t.is(batch.join().buffer, chunk.buffer);
  t.is(batch.join().length, 12);
  batch.addPatched(chunk, 12, 20, 5, 0x34, 0x0102);
  batch.add(chunk, 0, 6);
  t.is(batch.join().toString('hex'), '300400016101300400016102340600016101020330' + '0400016101');
  t.is(chunk.toString('hex'), '300400016101300400016102320600016100ff03');
  t.is(batch.bytes, 26);
});
