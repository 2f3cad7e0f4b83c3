/**
 * One row of the error catalogue. A code is stable: scripts and alerts are written against it.
 *
 * @module
 */
export interface ErrorSpec {
  /** What happened, without a full stop. */
  readonly title: string;
  /** What to do next: a sentence. */
  readonly advice: string;
  /** HTTP status, where the error can leave by HTTP. */
  readonly http?: number;
  /** MQTT 5.0 reason code, where it can leave by MQTT. */
  readonly mqtt5?: number;
  /** MQTT 3.1.1 CONNACK return code, where it can refuse a CONNECT. */
  readonly mqtt3?: 1 | 2 | 3 | 4 | 5;
  /** Exit code of the command line; 1 unless told. */
  readonly exit?: 1 | 2 | 3;
}

/** Keeps the codes as literal types. */
export function errors<const T extends Readonly<Record<string, ErrorSpec>>>(table: T): T {
  return table;
}
