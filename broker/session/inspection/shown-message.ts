/**
 * A message as operators see it: text where it is text, and no more than the first bytes.
 *
 * @module
 */
import { isUtf8 } from 'node:buffer';
import {
  shownCorrelationMaxBytes,
  shownPayloadMaxBytes,
  type MessageAnswer,
} from '../../../core/protocol/broker-query.ts';
import { correlationDataOf } from '../wire/request-properties.ts';

export interface PlainMessage {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly publisher: string | undefined;
  /** Those of MQTT 5.0 that are forwarded, encoded, without their length. */
  readonly properties?: Buffer | undefined;
}

export function shownMessage(message: PlainMessage, atMs: number): MessageAnswer {
  const { topic, payload, qos, retain, publisher } = message;
  const truncated = payload.length > shownPayloadMaxBytes;
  const isText = isUtf8(payload);
  const correlation = correlationDataOf(message.properties);
  const shown = truncated ? payload.subarray(0, shownPayloadMaxBytes) : payload;
  return {
    topic,
    // A cut can divide the last character: its bytes become one replacement character.
    payload: shown.toString(isText ? 'utf8' : 'base64'),
    encoding: isText ? 'utf8' : 'base64',
    bytes: payload.length,
    truncated,
    qos,
    retain,
    at: new Date(atMs).toISOString(),
    publisher: publisher ?? null,
    ...(correlation === undefined || correlation.length > shownCorrelationMaxBytes
      ? {}
      : { correlationData: correlation.toString('base64') }),
  };
}
