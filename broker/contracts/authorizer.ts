/**
 * The authorization that the session layer requests from the policy. Every call is synchronous, depends
 * only on the current policy and directory, and is cheap enough for every message (a decision for a
 * topic that was decided before takes well under a microsecond).
 *
 * @module
 */
import type { QueueOverflow } from '../../core/config/limits.ts';
import type { Verdict } from '../../core/policy/policy-verdict.ts';
import type { Identity } from './identity.ts';

/** The limits of one session of an identity. A rate of 0 means no limit. */
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
  /** Retained messages of the identity, in all of its sessions. */
  readonly retainedMax: number;
  readonly retainedMaxBytes: number;
  readonly sessionExpiryMaxSeconds: number;
}

export interface Authorizer {
  /**
   * Increases by one whenever the policy changes; caches compare it. When only the entry or the
   * standing of one identity changes, `Connection.reauthorize` is called for its connections instead:
   * it must clear what was cached for that identity.
   */
  readonly version: number;
  /** Whether this identity may use this client id (`exact`, `prefix`, `any`). */
  connect(identity: Identity, clientId: string): Verdict;
  publish(
    identity: Identity,
    topic: string,
    qos: 0 | 1 | 2,
    retain: boolean,
    payloadBytes: number,
  ): Verdict;
  /** `filter` is without `$share/{group}/`. Allowed only if every topic that it can match is allowed. */
  subscribe(identity: Identity, filter: string, qos: 0 | 1 | 2): Verdict;
  /**
   * Whether this identity may receive messages of this topic. Called when a route is computed (once for
   * each topic and receiver, then cached with the route) and when a queued or retained message is
   * delivered. A granted subscription is not enough: a policy can deny to receive a part of what a
   * filter matches.
   */
  receive(identity: Identity, topic: string): boolean;
  limits(identity: Identity): SessionLimits;
  /** The reaction to a denied PUBLISH on MQTT 3.1.1. */
  readonly onDenied: 'close' | 'drop';
}
