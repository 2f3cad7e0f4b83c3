/**
 * The header of every simulated message: the run, the device, the sequence number, and the scheduled
 * time. It is JSON at the start of the payload, so that it is readable in any MQTT client:
 *
 * ```
 * {"run":"5f0c1a2b","id":"meter-0001","seq":17,"at":1769990400123456,"value":21.5}
 * ```
 *
 * A body that is not a JSON object follows the closing brace and a line feed.
 *
 * @module
 */

export interface Envelope {
  /** 8 hexadecimal digits. Messages of other runs are not counted. */
  readonly run: string;
  /** The device that sent the message; for a command, the device that receives it. */
  readonly id: string;
  readonly seq: number;
  /** The scheduled time: µs since 1970. */
  readonly atUs: number;
}

const head =
  /^\{"run":"([0-9a-f]{8})","id":"([A-Za-z0-9][A-Za-z0-9._:-]{0,127})","seq":(\d{1,10}),"at":(\d{1,16})[,}]/;
const headMaxBytes = 240;

/** Adds the envelope to a body: a JSON object, other text, or nothing. */
export function wrap(envelope: Envelope, body: string): string {
  const open = `{"run":"${envelope.run}","id":"${envelope.id}","seq":${envelope.seq},"at":${Math.round(envelope.atUs)}`;
  if (body === '' || body === '{}') return `${open}}`;
  return body.startsWith('{') && body.endsWith('}')
    ? `${open},${body.slice(1)}`
    : `${open}}\n${body}`;
}

/** Reads the envelope; undefined when the payload has none. */
export function unwrap(payload: Buffer): Envelope | undefined {
  const found = head.exec(payload.toString('latin1', 0, headMaxBytes));
  if (found === null) return undefined;
  const [, run = '', id = '', seq, at] = found;
  return { run, id, seq: Number(seq), atUs: Number(at) };
}
