/**
 * The events of the audit log: who decided what, and about which device.
 *
 * @module
 */

/**
 * The decisions that are recorded. These names are stable, because alerts are written against them.
 */
export const auditActions = [
  'service-started',
  'identity-created',
  'loss-accepted',
  'broker-ahead',
  'restore-settled',
  'certificate-adopted',
  'certificates-pruned',
  'token-created',
  'token-revoked',
  'token-refused',
  'certificate-issued',
  'certificate-renewed',
  'certificate-retired',
  'enrollment-requested',
  'enrollment-approved',
  'enrollment-denied',
  'enrollment-refused',
  'renewal-refused',
  'device-imported',
  'device-changed',
  'device-revoked',
  'device-suspended',
  'device-resumed',
  'device-deleted',
  'connections-closed',
  'incident-reported',
  'factory-added',
  'factory-removed',
  'issuer-added',
  'issuer-retired',
  'issuer-requested',
  'issuer-withdrawn',
  'issuer-withdrawal-completed',
  'root-imported',
  'root-replaced',
  'root-retired',
  'root-crl-signed',
  'ca-passphrase-changed',
  'policy-changed',
  'signed-in',
  'signed-out',
  'sign-in-refused',
  'sign-in-link-created',
  'operator-changed',
  'operator-deleted',
  'api-key-created',
  'api-key-deleted',
  'connection-ended',
  'message-published',
  'messages-watched',
  'simulation-started',
  'simulation-ended',
  'access-refused',
  'reload-refused',
] as const;
export type AuditAction = (typeof auditActions)[number];

/** One decision. It never contains a secret: a token is named by the first digits of its hash. */
export interface AuditEvent {
  readonly action: AuditAction;
  /** Who decided: an identity, `token:…`, `factory:…`, `anonymous`, `system`. */
  readonly actor: string;
  /** The identity that the decision is about. */
  readonly device?: string;
  readonly remoteAddress?: string;
  /** Further facts, by event. */
  readonly detail?: Readonly<Record<string, string | number | boolean | null>>;
}

/** A line of the audit log, parsed. */
export interface AuditLine extends AuditEvent {
  readonly seq: number;
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly commit?: number;
  readonly prev: string;
  readonly hash: string;
}

/** An event with the commit that it belongs to. */
export interface NumberedEvent {
  readonly commit: number;
  readonly atMs: number;
  readonly event: AuditEvent;
}

/**
 * Writes events. Resolves when they are durable. Of replayed events it ignores those that it has already.
 */
export type EventSink = (events: readonly NumberedEvent[], replayed: boolean) => Promise<void>;
