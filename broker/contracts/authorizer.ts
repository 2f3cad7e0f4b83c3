/**
 * What the session layer asks before it acts, and who answers: the policy. Every call is
 * synchronous, pure over the policy and the directory in force, and cheap enough for every message
 * (a decision on a topic seen before costs well under a microsecond).
 *
 * @module
 */
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import type { QueueOverflow } from '../../core/config/limits.ts';
import type { Identity } from './identity.ts';

/**
 * Allow, or deny with a reason from the catalogue; `rule` names what decided, for people. A publish that
 * is allowed `always` is allowed with any QoS and RETAIN, and with any smaller payload: the answer may be
 * kept. One without is for this message alone.
 */
export type Verdict =
  | { readonly allowed: true; readonly rule: string; readonly always?: true }
  | { readonly allowed: false; readonly code: ErrorCode; readonly rule: string | undefined };

/** What one session of an identity may use. Rates are 0 when unlimited. */
export interface SessionLimits {
  readonly messagesPerSecond: number;
  readonly messagesBurst: number;
  readonly bytesPerSecond: number;
  readonly bytesBurst: number;
  readonly connectionsMax: number;
  readonly subscriptionsMax: number;
  readonly inflightMax: number;
  readonly queueMaxMessages: number;
  readonly queueMaxBytes: number;
  readonly queueOverflow: QueueOverflow;
  readonly queueQos0: boolean;
  readonly payloadMaxBytes: number;
  readonly sessionExpiryMaxSeconds: number;
}

export interface Authorizer {
  /**
   * Grows by one whenever the policy changed; caches compare it. When the entry or the standing of
   * one identity changed, `Connection.reauthorize` is called for its connections instead: it must
   * void what was cached for that identity.
   */
  readonly version: number;
  /** Whether this client id may be used by this identity (`exact`, `prefix`, `any`). */
  connect(identity: Identity, clientId: string): Verdict;
  publish(
    identity: Identity,
    topic: string,
    qos: 0 | 1 | 2,
    retain: boolean,
    payloadBytes: number,
  ): Verdict;
  /** `filter` without `$share/{group}/`. Allowed only when every topic it could match is allowed. */
  subscribe(identity: Identity, filter: string, qos: 0 | 1 | 2): Verdict;
  /**
   * Whether this identity may be given a message of this topic. Asked when a route is computed (once
   * a topic and receiver, then cached like the route), and at delivery of what was queued or
   * retained before. A granted subscription alone does not answer it: a policy can deny to receive
   * a part of what a filter matches.
   */
  receive(identity: Identity, topic: string): boolean;
  limits(identity: Identity): SessionLimits;
  /** What a denied PUBLISH does on MQTT 3.1.1. */
  readonly onDenied: 'close' | 'drop';
}
