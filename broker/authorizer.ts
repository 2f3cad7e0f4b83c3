/**
 * What the session layer asks before it acts, and who answers: the policy. Every call is
 * synchronous, pure over the policy and the directory in force, and cheap enough for every message
 * (a decision on a topic seen before costs well under a microsecond).
 *
 * @module
 */
import type { ErrorCode } from '../core/errors/catalogue.ts';
import type { Identity } from './identity.ts';

/** Allow, or deny with a reason from the catalogue; `rule` names what decided, for people. */
export type Verdict =
  | { readonly allowed: true; readonly rule: string }
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
  readonly payloadMaxBytes: number;
  readonly sessionExpiryMaxSeconds: number;
}

export interface Authorizer {
  /** Grows by one whenever any answer may have changed; caches compare it. */
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
  /** Asked at delivery for what was queued or retained before a change; live routes were granted. */
  receive(identity: Identity, topic: string): boolean;
  limits(identity: Identity): SessionLimits;
  /** What a denied PUBLISH does on MQTT 3.1.1. */
  readonly onDenied: 'close' | 'drop';
}
