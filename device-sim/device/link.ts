/**
 * What a simulated device speaks MQTT through. Two implementations keep this contract (held by one
 * suite of tests): MQTT.js as people run it, and a light one for many devices on one machine.
 *
 * A link lives over many connections: after `closed` it may connect again. With a kept session,
 * messages without acknowledgement are sent again then; with a clean one their `done` is called with
 * the reason when the connection ends.
 *
 * @module
 */
import type { DialOptions, DialTiming, Failure } from './dial.ts';

export interface LinkOptions {
  readonly clientId: string;
  readonly mqtt: '3.1.1' | '5.0';
  readonly kept: boolean;
  readonly sessionExpirySeconds: number;
  readonly keepAliveSeconds: number;
  /** From the first packet of TCP to CONNACK. */
  readonly connectTimeoutMs: number;
}

/** What a link tells its owner. */
export interface LinkEvents {
  message(topic: string, payload: Buffer, qos: 0 | 1 | 2, retain: boolean): void;
  /** The connection ended, by whichever side; once for each successful `connect`. */
  closed(failure: Failure): void;
}

/** A connection that stands. */
export interface Connected {
  readonly timing: DialTiming;
  /** When CONNACK came, on the process's own clock in ms. */
  readonly connackMs: number;
  readonly sessionPresent: boolean;
}

/** Called once: undefined when the message was acknowledged (QoS 0: handed to the socket). */
export type LinkCallback = (failure: string | undefined) => void;

export interface Link {
  readonly online: boolean;
  /** Messages without acknowledgement. */
  readonly inflight: number;
  /** @throws LinkError when the broker cannot be reached, or refuses */
  connect(dial: DialOptions): Promise<Connected>;
  publish(
    topic: string,
    payload: string,
    qos: 0 | 1 | 2,
    retain: boolean,
    done: LinkCallback,
  ): void;
  /** @returns the SUBACK code: 0 to 2 granted, 0x80 and above refused. @throws LinkError */
  subscribe(filter: string, qos: 0 | 1 | 2): Promise<number>;
  /** Resolves when the broker confirmed it, or the connection ended. */
  unsubscribe(filter: string): Promise<void>;
  /** DISCONNECT, then closes. */
  end(): Promise<void>;
  /** Cuts the connection without a word. */
  destroy(): void;
  /** Stops, or goes on, taking bytes from the socket. */
  pauseReading(paused: boolean): void;
}

/** Why a connection or a subscription did not come about. */
export class LinkError extends Error implements Failure {
  readonly reason: string;
  readonly detail: string;
  /** Whether TLS had resumed a session before it came to this. */
  readonly resumed: boolean;

  constructor({ reason, detail }: Failure, resumed = false) {
    super(`${reason}: ${detail}`);
    this.name = 'LinkError';
    this.reason = reason;
    this.detail = detail;
    this.resumed = resumed;
  }
}

/** The word for a CONNACK that says no, e.g. `connack-not-authorized`. */
export function connackReason(code: number): string {
  return `connack-${connackWords[code] ?? code.toString()}`;
}

const connackWords: Readonly<Record<number, string>> = {
  1: 'protocol-version',
  2: 'client-id-rejected',
  3: 'server-unavailable',
  4: 'bad-credentials',
  5: 'not-authorized',
  0x80: 'unspecified',
  0x84: 'protocol-version',
  0x85: 'client-id-rejected',
  0x86: 'bad-credentials',
  0x87: 'not-authorized',
  0x88: 'server-unavailable',
  0x89: 'server-busy',
  0x8a: 'banned',
  0x97: 'quota-exceeded',
  0x9c: 'use-another-server',
  0x9f: 'rate-exceeded',
};
