/**
 * The contract between the broker (listeners, admission, policy) and the session layer, which speaks
 * MQTT with admitted connections.
 *
 * The broker passes a connection to the session layer only after TLS, certificate and directory have been
 * checked, and before a byte of MQTT is read. From then on the session layer owns its wire: it reads
 * CONNECT within the timeout, calls the {@link Authorizer}, and always closes the wire in the end.
 *
 * @module
 */
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import type { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { Authorizer } from './authorizer.ts';
import type { Identity } from './identity.ts';
import type { IdentityRights } from './identity-rights.ts';
import type { SessionInspection } from './session-inspection.ts';
import type { Wire } from './connection-wire.ts';

/** One admitted connection. */
export interface Connection {
  readonly identity: Identity;
  /** Undefined until CONNECT is accepted. */
  readonly clientId: string | undefined;
  /** 3, 4 or 5; undefined until CONNECT is read. */
  readonly protocolVersion: number | undefined;
  readonly connectedAtMs: number;
  /**
   * Authorizes the connection again: subscriptions that are not allowed any more are removed at once.
   * Called when the policy, or the identity's entry or standing, has changed.
   */
  reauthorize(): void;
  /**
   * Closes the connection now. An MQTT 5.0 client gets a DISCONNECT with the catalogue's reason code of
   * `code`. The will is published unless `code` means that the identity may not publish any more
   * (revoked, suspended). Idempotent.
   */
  close(code: ErrorCode): void;
}

/** What caused a fault, as far as it is known. */
export interface FaultCause {
  /** The identity whose packet or message it was. */
  readonly device?: string | undefined;
  readonly topic?: string | undefined;
  readonly filter?: string | undefined;
}

/** The events that the session layer reports to the broker. Handlers must not throw and must not block. */
export interface SessionEvents {
  /**
   * A CONNACK with success is about to be sent.
   *
   * @param takesOver whether the connection has taken the session over from a live one
   */
  connected(connection: Connection, takesOver: boolean): void;
  /**
   * Called only after `connected`.
   *
   * @param code the reason; undefined after a normal DISCONNECT of the client
   * @param other another connection of the identity that is open and whose CONNECT was accepted; undefined if
   *   there is none
   */
  disconnected(
    connection: Connection,
    code: ErrorCode | undefined,
    other: Connection | undefined,
  ): void;
  /** A subscription was granted: the retained messages that its filter matches are read next. */
  retainedRequested?(filter: string): void;
  /** A CONNECT was rejected. */
  refused(identity: Identity, code: ErrorCode, detail: string): void;
  /** A connected client violated the protocol: its connection is closed. */
  protocolViolated?(identity: Identity, code: ErrorCode, detail: string): void;
  /** A publish, subscribe or delivery was denied. */
  denied(
    identity: Identity,
    action: 'publish' | 'subscribe' | 'receive',
    topic: string,
    code: ErrorCode,
  ): void;
  /** A fault of the broker or of a plug-in. Clients can cause it again and again, so its log lines are limited. */
  failed?(cause: FaultCause, error: unknown, message: string): void;
  /** A will was not published, because its identity has lost its right. */
  willDiscarded?(identityId: string, clientId: string, code: ErrorCode): void;
  /** Messages were dropped because of a limit. `reason` is a stable word for the metrics. */
  dropped(identity: Identity, reason: string, messages: number): void;
  /**
   * The store cannot write any more (disk full): nothing can be acknowledged from now on. The broker
   * should exit, so that its service manager restarts it. Called at most once.
   */
  storeFailed?(error: FlotillaError): void;
}

/** A message that the broker publishes. */
export interface BrokerMessage {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  /** Where receivers with MQTT 5.0 send a reply. */
  readonly replyTo?: { readonly responseTopic: string; readonly correlationData: Buffer };
}

/**
 * Handles a message that is addressed to the broker (`$fleet/certs/{id}/…`).
 *
 * @returns true if the message was handled and must not be routed
 */
export type Intercept = (identity: Identity, topic: string, payload: Buffer) => boolean;

/** Totals since the start and current numbers. They are counted in plain fields, so they are cheap to read. */
export interface SessionStatistics {
  /** PUBLISH packets received from clients, by QoS 0, 1, 2. */
  readonly messagesIn: readonly [number, number, number];
  /** PUBLISH packets sent to clients, by QoS 0, 1, 2. */
  readonly messagesOut: readonly [number, number, number];
  /** Bytes of all MQTT packets. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Sessions with and without a connection. */
  readonly sessions: number;
  readonly subscriptions: number;
  readonly retained: number;
  /** Messages that wait for a client, including those in flight. */
  readonly queuedMessages: number;
  readonly queuedBytes: number;
  /** Commits of the store, and the time they took in total. */
  readonly storeCommits: number;
  readonly storeCommitMs: number;
}

export interface SessionLayer {
  /**
   * Starts MQTT on an admitted connection.
   *
   * @param closed called once, when the connection is closed
   */
  accept(wire: Wire, identity: Identity, closed?: () => void): Connection;
  /** All open connections, including those that have not sent CONNECT. */
  connections(): Iterable<Connection>;
  /** The open connections of one identity. */
  connectionsOf(id: string): readonly Connection[];
  /**
   * Publishes messages of the broker in this order, without authorization and with one commit of the
   * store. Resolves after the commit.
   */
  publish(...messages: readonly BrokerMessage[]): Promise<void>;
  /** The retained messages that a filter matches, in any order, without authorization. */
  retained(filter: string): AsyncIterable<{ readonly topic: string; readonly payload: Buffer }>;
  statistics(): SessionStatistics;
  /** What operators can see of it. */
  readonly inspection: SessionInspection;
  /**
   * Deletes the kept sessions, queues and wills of an identity at once, and, with `withRetained`, in turns of the
   * event loop the retained messages that it has published until now.
   */
  forget(id: string, options?: { readonly withRetained: boolean }): Promise<void>;
  /** Closes all connections (reason: server shutting down), accepts no new ones, and flushes the store. */
  close(): Promise<void>;
}

export interface SessionLayerDeps {
  readonly authorizer: Authorizer;
  readonly events: SessionEvents;
  readonly intercept: Intercept;
  readonly rights: IdentityRights;
}
