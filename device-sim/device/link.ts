/**
 * The MQTT client of a simulated device. There are two implementations with one test suite: MQTT.js as
 * applications use it, and a light client for many devices on one machine.
 *
 * A link can connect again after `closed`. With a kept session it then sends unacknowledged messages
 * again; with a clean session their `done` is called with the reason when the connection ends.
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
  /** From the start of the TCP connection to CONNACK. */
  readonly connectTimeoutMs: number;
}

/** Events of a link. */
export interface LinkEvents {
  message(topic: string, payload: Buffer, qos: 0 | 1 | 2, retain: boolean): void;
  /** The connection ended, on either side; called once for each successful `connect`. */
  closed(failure: Failure): void;
}

/** An established connection. */
export interface Connected {
  readonly timing: DialTiming;
  /** When CONNACK was received, by `performance.now()`. */
  readonly connackMs: number;
  readonly sessionPresent: boolean;
}

/** Called once: undefined when the message was acknowledged (QoS 0: written to the socket). */
export type LinkCallback = (failure: string | undefined) => void;

export interface Link {
  readonly online: boolean;
  /** Unacknowledged messages. */
  readonly inflight: number;
  /** @throws LinkError when the broker cannot be reached or rejects the connection */
  connect(dial: DialOptions): Promise<Connected>;
  publish(
    topic: string,
    payload: string,
    qos: 0 | 1 | 2,
    retain: boolean,
    done: LinkCallback,
  ): void;
  /** @returns the SUBACK code: 0 to 2 granted, 0x80 and above rejected. @throws LinkError */
  subscribe(filter: string, qos: 0 | 1 | 2): Promise<number>;
  /** Resolves when the broker confirmed it or the connection ended. */
  unsubscribe(filter: string): Promise<void>;
  /** Sends DISCONNECT and closes. */
  end(): Promise<void>;
  /** Closes the connection without DISCONNECT. */
  destroy(): void;
  /** Stops or resumes reading from the socket. */
  pauseReading(paused: boolean): void;
}

/** Why a connection or a subscription failed. */
export class LinkError extends Error implements Failure {
  readonly reason: string;
  readonly detail: string;
  /** Whether TLS had resumed a session before the failure. */
  readonly resumed: boolean;

  constructor({ reason, detail }: Failure, resumed = false) {
    super(`${reason}: ${detail}`);
    this.name = 'LinkError';
    this.reason = reason;
    this.detail = detail;
    this.resumed = resumed;
  }
}

/** The code of a CONNACK that rejects the connection, e.g. `connack-not-authorized`. */
export function connackReason(code: number): string {
  return `connack-${connackNames[code] ?? code.toString()}`;
}

const connackNames: Readonly<Record<number, string>> = {
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
