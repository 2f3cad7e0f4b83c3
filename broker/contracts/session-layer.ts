/**
 * The contract between the front (listeners, admission, policy) and the layer that speaks MQTT with
 * one admitted connection.
 *
 * The front hands over a stream only after TLS, certificate and directory said yes, and before a
 * byte of MQTT was read. From then on the session layer owns the stream: it reads CONNECT within
 * the time limit, asks the {@link Authorizer}, and closes the stream in every case in the end.
 *
 * @module
 */
import type { Duplex } from 'node:stream';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import type { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { Authorizer } from './authorizer.ts';
import type { Identity } from './identity.ts';

/** One admitted connection. */
export interface Connection {
  readonly identity: Identity;
  /** Undefined until CONNECT was accepted. */
  readonly clientId: string | undefined;
  /** 3, 4 or 5; undefined until CONNECT was read. */
  readonly protocolVersion: number | undefined;
  readonly connectedAtMs: number;
  /**
   * Authorises again what stands: subscriptions no longer allowed are removed at once. Called when
   * the policy, or the identity's entry or standing, changed.
   */
  reauthorize(): void;
  /**
   * Ends the connection now: MQTT 5.0 gets DISCONNECT with the reason code of `code` from the
   * catalogue; the will is published unless `code` says that the identity lost its right to speak
   * (revoked, suspended). Idempotent.
   */
  close(code: ErrorCode): void;
}

/** What the session layer tells the front. Calls must not throw and must not block. */
export interface SessionEvents {
  /** CONNACK with success is about to leave. */
  connected(connection: Connection): void;
  /** `code`: why; undefined after a clean DISCONNECT by the client. Only after `connected`. */
  disconnected(connection: Connection, code: ErrorCode | undefined): void;
  /** A subscription was granted: the messages that are retained under its filter are read next. */
  retainedRequested?(filter: string): void;
  /** A CONNECT was refused. */
  refused(identity: Identity, code: ErrorCode, detail: string): void;
  /** An accepted client broke a rule of the protocol: its connection ends. */
  protocolViolated?(identity: Identity, code: ErrorCode, detail: string): void;
  /** A publish, subscribe or delivery was denied. */
  denied(
    identity: Identity,
    action: 'publish' | 'subscribe' | 'receive',
    topic: string,
    code: ErrorCode,
  ): void;
  /** Something was thrown away by a limit: `reason` is a stable word for the metrics. */
  dropped(identity: Identity, reason: string, messages: number): void;
  /**
   * The store cannot write any more (disk full): nothing can be acknowledged from now on, and the
   * broker should end, so that what watches it starts it again. At most once.
   */
  storeFailed?(error: FlotillaError): void;
}

/** A message that the broker itself publishes. */
export interface BrokerMessage {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
}

/**
 * Takes a message that is addressed to the broker itself (`$fleet/certs/{id}/…`).
 *
 * @returns true when it was taken and must not be routed
 */
export type Intercept = (identity: Identity, topic: string, payload: Buffer) => boolean;

/** Totals since the start, and what stands now. The layer counts in plain fields; cheap to read. */
export interface SessionStatistics {
  /** PUBLISH packets received from clients, by QoS 0, 1, 2. */
  readonly messagesIn: readonly [number, number, number];
  /** PUBLISH packets sent to clients, by QoS 0, 1, 2. */
  readonly messagesOut: readonly [number, number, number];
  /** Bytes of MQTT, all packet types. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Sessions, those without a connection included. */
  readonly sessions: number;
  readonly subscriptions: number;
  readonly retained: number;
  /** Messages that wait for a client, in flight ones included. */
  readonly queuedMessages: number;
  readonly queuedBytes: number;
  /** Commits of the store and the time they took. */
  readonly storeCommits: number;
  readonly storeCommitMs: number;
}

export interface SessionLayer {
  /** Takes over an admitted stream. */
  accept(stream: Duplex, identity: Identity): Connection;
  /** Every live connection, those before CONNECT included. */
  connections(): Iterable<Connection>;
  /** The live connections of one identity. */
  connectionsOf(id: string): readonly Connection[];
  /**
   * Publishes for the broker itself, past the policy, in the order given and with one commit of the
   * store. Resolves when stored.
   */
  publish(...messages: readonly BrokerMessage[]): Promise<void>;
  /** The retained messages that match a filter, in any order; not limited by the policy. */
  retained(filter: string): AsyncIterable<{ readonly topic: string; readonly payload: Buffer }>;
  statistics(): SessionStatistics;
  /** Deletes kept sessions, queues and wills of an identity. */
  forget(id: string): Promise<void>;
  /** Stops taking connections, ends those that live (reason: server shutting down), flushes. */
  close(): Promise<void>;
}

export interface SessionLayerDeps {
  readonly authorizer: Authorizer;
  readonly events: SessionEvents;
  readonly intercept: Intercept;
}
