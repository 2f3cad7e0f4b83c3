/**
 * One row of the error catalogue. A code is stable: scripts and alerts are written against it.
 *
 * @module
 */
export interface ErrorSpec {
  /** What happened, without a period. */
  readonly title: string;
  /** What to do next: a sentence. */
  readonly advice: string;
  /** HTTP status, if the enrollment service can respond with this error. */
  readonly http?: number;
  /** MQTT 5.0 reason code, if the broker can send this error. */
  readonly mqtt5?: number;
  /** MQTT 3.1.1 CONNACK return code, if the error can reject a CONNECT. */
  readonly mqtt3?: 1 | 2 | 3 | 4 | 5;
  /**
   * Exit code of a command that fails with this error. Default: 1 for errors with an HTTP status,
   * because a command can get those from the service, else none. Null: no command can fail with it.
   */
  readonly exit?: 1 | 2 | 3 | null;
}

/** The exit code of a command that fails with an error; undefined when no command can. */
export function exitCodeOf({ exit, http }: ErrorSpec): 1 | 2 | 3 | undefined {
  if (exit === null) return undefined;
  return exit ?? (http === undefined ? undefined : 1);
}

/** Keeps the codes as literal types. */
export function errors<const T extends Readonly<Record<string, ErrorSpec>>>(table: T): T {
  return table;
}
