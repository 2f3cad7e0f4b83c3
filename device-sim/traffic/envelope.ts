/**
 * What a simulated message carries to be accounted for: which run, which device, which sequence
 * number, and the time it was meant to leave. It stands at the head of the payload as JSON, so that
 * a person who listens with any tool can read it:
 *
 * ```
 * {"run":"5f0c1a2b","id":"meter-0001","seq":17,"at":1769990400123456,"value":21.5}
 * ```
 *
 * A body that is not a JSON object follows after the closing brace and a line feed.
 *
 * @module
 */

export interface Envelope {
  /** 8 hexadecimal digits: messages of other runs are not ours to count. */
  readonly run: string;
  /** The device that sent it, or for a command the device that it is for. */
  readonly id: string;
  readonly seq: number;
  /** When it was meant to leave: µs since 1970. */
  readonly atUs: number;
}

const head =
  /^\{"run":"([0-9a-f]{8})","id":"([A-Za-z0-9][A-Za-z0-9._:-]{0,127})","seq":(\d{1,10}),"at":(\d{1,16})[,}]/;
const headMaxBytes = 240;

/** Puts the envelope at the head of a body: a JSON object, other text, or nothing. */
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
