/**
 * Where a retained message was published, as the partitions transfer it: the first property of the message, a user
 * property with the name `$from`. It is removed before the message is stored or delivered, so what a client calls
 * `$from` itself is not touched.
 *
 * @module
 */
import { z } from 'zod';
import type { Qos } from '../../store/session-store.ts';
import { Message } from '../delivery/message.ts';
import { protocolError } from '../wire/fault.ts';
import { PacketReader } from '../wire/reader.ts';

export interface MessageOrigin {
  /** The QoS as published. */
  readonly qos: Qos;
  /** In whose share of the room the message counts; undefined: the broker or a plug-in published it. */
  readonly identityId: string | undefined;
  readonly clientId: string | undefined;
  /** Whether it is only stored, and delivered to nobody: a plug-in does that. */
  readonly isSilent: boolean;
}

const userProperty = 0x26;
const name = '$from';
const valueSchema = z.tuple([
  z.literal([0, 1, 2]),
  z.string().max(256).nullable(),
  z.string().max(65_535).nullable(),
  z.boolean(),
]);

/** A message for other partitions, with its origin. Its QoS is 1 or 2, so that it is queued and acknowledged. */
export function withOrigin(message: Message, origin: MessageOrigin): Message {
  const { qos, identityId, clientId, isSilent } = origin;
  const value = JSON.stringify([qos, identityId ?? null, clientId ?? null, isSilent]);
  const property = userPropertyOf(name, value);
  const { topic, payload, properties, expiresAtMs } = message;
  const copy = new Message(topic, qos === 0 ? 1 : qos, true, clientId);
  copy.setPayload(payload, 0, payload.length);
  copy.setProperties(
    properties === undefined ? property : Buffer.concat([property, properties]),
    expiresAtMs,
  );
  return copy;
}

/**
 * Separates the origin from the other properties.
 *
 * @param properties encoded, without their length
 * @throws ProtocolFault if the first property is no origin
 */
export function splitOrigin(properties: Buffer | undefined): {
  readonly origin: MessageOrigin;
  readonly rest: Buffer | undefined;
} {
  const bytes = properties ?? Buffer.alloc(0);
  const reader = new PacketReader(bytes, 0, bytes.length);
  if (reader.byte() !== userProperty || reader.text() !== name) {
    throw protocolError('a retained message without its origin');
  }
  const parsed = valueSchema.safeParse(parsedJson(reader.text()));
  if (!parsed.success) throw protocolError('the origin of a message is malformed');
  const [qos, identityId, clientId, isSilent] = parsed.data;
  return {
    origin: {
      ...{ qos, isSilent },
      identityId: identityId ?? undefined,
      clientId: clientId ?? undefined,
    },
    rest: reader.left === 0 ? undefined : bytes.subarray(reader.at),
  };
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function userPropertyOf(key: string, value: string): Buffer {
  const [keyBytes, valueBytes] = [Buffer.from(key), Buffer.from(value)];
  const bytes = Buffer.alloc(5 + keyBytes.length + valueBytes.length);
  bytes[0] = userProperty;
  let at = bytes.writeUInt16BE(keyBytes.length, 1);
  at += keyBytes.copy(bytes, at);
  at = bytes.writeUInt16BE(valueBytes.length, at);
  valueBytes.copy(bytes, at);
  return bytes;
}
