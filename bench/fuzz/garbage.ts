/**
 * Generates malformed MQTT: packets of every type with mostly plausible fields, which are then mutated:
 * flags, lengths, texts, properties, order, truncation. Packets that are almost correct find the deep
 * faults of a parser.
 *
 * @module
 */
import type { FuzzRandom } from './random.ts';

/** The chunks that one hostile connection sends. */
export interface Script {
  readonly clientId: string;
  readonly chunks: readonly Buffer[];
  readonly packets: number;
  /** Whether it closes the connection at the end, or waits for the server to close it. */
  readonly cuts: boolean;
}

const clientIds = Array.from({ length: 24 }, (_, n) => `fuzz-${n}`);
const levels = ['a', 'b', '', '$SYS', '$share', 'é', '+', '#', 'a b', '𝄞', 'x'.repeat(70)];
const badTexts = ['c080', 'eda080', 'e28', 'ff', '00', 'f8888888', 'efbfbf', '6100'].map((hex) =>
  Buffer.from(hex.length % 2 === 0 ? hex : `${hex}0`, 'hex'),
);

/** The packets of one connection. */
export function script(random: FuzzRandom): Script {
  const clientId = random.pick(clientIds);
  const version = random.pick([3, 4, 4, 5, 5, 5]);
  const packets: Buffer[] = [];
  if (!random.chance(0.05)) packets.push(connect(random, clientId, version));
  const count = random.below(30);
  for (let n = 0; n < count; n++) packets.push(anyPacket(random, version));
  const mutated = packets.map((packet, index) =>
    // Mostly keep the first packet: after a malformed CONNECT, nothing else is parsed.
    random.chance(index === 0 ? 0.1 : 0.25) ? mutate(random, packet) : packet,
  );
  if (random.chance(0.1))
    mutated.splice(random.below(mutated.length + 1), 0, random.bytes(random.below(200)));
  return {
    clientId,
    chunks: split(random, Buffer.concat(mutated)),
    packets: mutated.length,
    cuts: random.chance(0.7),
  };
}

function anyPacket(random: FuzzRandom, version: number): Buffer {
  switch (random.below(14)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return publish(random, version);
    case 4:
    case 5:
      return subscribe(random, version);
    case 6:
      return unsubscribe(random, version);
    case 7:
    case 8:
    case 9:
      return acknowledgement(random, version);
    case 10:
      return packet(0xc0, []);
    case 11:
      return random.chance(0.3)
        ? packet(0xe0, version === 5 ? [random.bytes(1)] : [])
        : packet(0xc0, []);
    case 12:
      return random.chance(0.2) ? packet(0xf0, [random.bytes(random.below(4))]) : packet(0xc0, []);
    default:
      return packet(random.below(256), [random.bytes(random.below(40))]);
  }
}

function connect(random: FuzzRandom, clientId: string, version: number): Buffer {
  const will = random.chance(0.4);
  const user = random.chance(0.2);
  const flags =
    (random.chance(0.5) ? 2 : 0) |
    (will ? 4 | (random.below(3) << 3) | (random.chance(0.3) ? 0x20 : 0) : 0) |
    (user ? 0xc0 : 0);
  return packet(0x10, [
    text(Buffer.from(version === 3 ? 'MQIsdp' : 'MQTT')),
    Buffer.from([random.chance(0.02) ? random.below(256) : version, flags, 0, random.below(120)]),
    ...(version === 5
      ? [properties(random, [0x11, 0x21, 0x27, 0x22, 0x19, 0x17, 0x26], 0.02)]
      : []),
    text(random.chance(0.03) ? Buffer.alloc(0) : Buffer.from(clientId)),
    ...(will
      ? [
          ...(version === 5
            ? [properties(random, [0x18, 0x01, 0x02, 0x03, 0x08, 0x09, 0x26], 0.05)]
            : []),
          text(topic(random)),
          text(random.bytes(random.below(50))),
        ]
      : []),
    ...(user ? [text(Buffer.from('user')), text(random.bytes(5))] : []),
  ]);
}

function publish(random: FuzzRandom, version: number): Buffer {
  const qos = random.pick([0, 0, 1, 1, 2, 2, 3]);
  const header = 0x30 | (qos << 1) | (random.chance(0.1) ? 8 : 0) | (random.chance(0.15) ? 1 : 0);
  return packet(header, [
    text(topic(random)),
    ...(qos > 0 ? [packetId(random)] : []),
    ...(version === 5
      ? [properties(random, [0x01, 0x02, 0x03, 0x08, 0x09, 0x23, 0x26, 0x26], 0.05)]
      : []),
    random.bytes(random.chance(0.02) ? random.below(20_000) : random.below(100)),
  ]);
}

function subscribe(random: FuzzRandom, version: number): Buffer {
  const requests: Buffer[] = [];
  for (let n = random.below(5); n >= 0; n--) {
    requests.push(
      text(filter(random)),
      Buffer.from([random.chance(0.9) ? random.below(version === 5 ? 48 : 3) : random.below(256)]),
    );
  }
  return packet(0x82, [
    packetId(random),
    ...(version === 5 ? [properties(random, [0x0b, 0x26], 0.03)] : []),
    ...requests,
  ]);
}

function unsubscribe(random: FuzzRandom, version: number): Buffer {
  return packet(0xa2, [
    packetId(random),
    ...(version === 5 ? [properties(random, [0x26], 0.03)] : []),
    text(filter(random)),
  ]);
}

function acknowledgement(random: FuzzRandom, version: number): Buffer {
  const reason =
    version === 5 && random.chance(0.3)
      ? [Buffer.from([random.pick([0, 0x10, 0x80, 0x87, 0x92, 0x55])])]
      : [];
  const more =
    reason.length > 0 && random.chance(0.3) ? [properties(random, [0x1f, 0x26], 0.1)] : [];
  return packet(random.pick([0x40, 0x50, 0x62, 0x70]), [packetId(random), ...reason, ...more]);
}

function packetId(random: FuzzRandom): Buffer {
  return random.chance(0.03) ? Buffer.from([0, 0]) : Buffer.from([0, 1 + random.below(40)]);
}

function topic(random: FuzzRandom): Buffer {
  if (random.chance(0.05)) return random.pick(badTexts);
  if (random.chance(0.01)) return Buffer.from('a/'.repeat(random.below(300)));
  const names = Array.from({ length: 1 + random.below(4) }, () =>
    random.pick(random.chance(0.9) ? ['a', 'b', 'c'] : levels),
  );
  return Buffer.from(names.join('/'));
}

function filter(random: FuzzRandom): Buffer {
  if (random.chance(0.05)) return random.pick(badTexts);
  const names = Array.from({ length: 1 + random.below(4) }, () =>
    random.pick(random.chance(0.8) ? ['a', 'b', 'c', '+'] : levels),
  );
  if (random.chance(0.3)) names.push('#');
  if (random.chance(0.15)) names.unshift('$share', random.pick(['g', 'h', '']));
  return Buffer.from(names.join('/'));
}

/** A property section with some of the allowed properties, sometimes with one that is not allowed. */
function properties(random: FuzzRandom, allowed: readonly number[], otherChance: number): Buffer {
  const parts: Buffer[] = [];
  const ids = allowed.filter(() => random.chance(0.25));
  if (random.chance(otherChance)) ids.push(random.below(60));
  for (const id of ids) parts.push(Buffer.from([id]), propertyValue(random, id));
  const body = Buffer.concat(parts);
  return Buffer.concat([variable(random.chance(0.02) ? random.below(300) : body.length), body]);
}

function propertyValue(random: FuzzRandom, id: number): Buffer {
  if ([0x01, 0x17, 0x19].includes(id))
    return Buffer.from([random.chance(0.9) ? random.below(2) : random.below(256)]);
  if ([0x02, 0x11, 0x18, 0x27].includes(id)) {
    return random.chance(0.5)
      ? Buffer.from([0, 0, random.below(2), random.below(256)])
      : random.bytes(4);
  }
  if ([0x21, 0x22, 0x23, 0x13].includes(id)) return Buffer.from([0, random.below(20)]);
  if (id === 0x0b) return variable(random.below(300));
  if (id === 0x26)
    return Buffer.concat([
      text(random.pick([Buffer.from('k'), ...badTexts])),
      text(Buffer.from('v')),
    ]);
  return text(random.chance(0.9) ? Buffer.from('text') : random.pick(badTexts));
}

function text(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from([bytes.length >>> 8, bytes.length & 0xff]), bytes]);
}

function packet(header: number, parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([header]), variable(body.length), body]);
}

function variable(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  do {
    const byte = left % 128;
    left = Math.floor(left / 128);
    bytes.push(left > 0 ? byte | 0x80 : byte);
  } while (left > 0);
  return Buffer.from(bytes);
}

/** Adds one fault: a bit, a byte, a truncation, a repetition, a length. */
function mutate(random: FuzzRandom, original: Buffer): Buffer {
  const bytes = Buffer.from(original);
  const at = random.below(bytes.length);
  switch (random.below(6)) {
    case 0:
      bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
      return bytes;
    case 1:
      bytes[at] = random.below(256);
      return bytes;
    case 2:
      return bytes.subarray(0, at);
    case 3:
      return Buffer.concat([bytes, bytes]);
    case 4:
      return Buffer.concat([
        bytes.subarray(0, at),
        random.bytes(1 + random.below(4)),
        bytes.subarray(at),
      ]);
    default:
      if (bytes.length > 1) bytes[1] = random.below(256);
      return bytes;
  }
}

function split(random: FuzzRandom, bytes: Buffer): Buffer[] {
  const chunks: Buffer[] = [];
  let at = 0;
  while (at < bytes.length) {
    const size = random.chance(0.5) ? bytes.length : 1 + random.below(random.chance(0.2) ? 3 : 200);
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}
