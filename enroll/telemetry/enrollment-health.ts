/**
 * The checks behind `/healthz` (the process works) and `/readyz` (devices can enroll). Pure functions.
 *
 * @module
 */
import type { CertificateFacts } from '../../certs/certificate.ts';
import type { Check } from '../../core/telemetry/metrics-server.ts';

/** The process is unhealthy when the event loop is later than this. */
const lagMaxMs = 5000;

/** The state that the checks use. */
export interface EnrollmentVitals {
  readonly nowMs: number;
  readonly lagMs: number;
  readonly listening: boolean;
  /** Nothing is enrolled or changed while the audit log cannot be written. */
  readonly auditLogWritable: boolean;
  /** Whether the database can be written; undefined: there is none. */
  readonly databaseConnected?: boolean | undefined;
  /** Undefined while a withdrawn one is being replaced. */
  readonly issuer: CertificateFacts | undefined;
  readonly serverCertificate: CertificateFacts;
}

/** Whether the process works. If not, it should be restarted. */
export function enrollmentHealth({ lagMs }: EnrollmentVitals): readonly Check[] {
  return [{ name: 'event loop', ok: lagMs < lagMaxMs, detail: `${Math.round(lagMs)} ms late` }];
}

/** Whether devices can enroll. That does not require a broker. */
export function enrollmentReadiness(vitals: EnrollmentVitals): readonly Check[] {
  const { nowMs, listening, auditLogWritable, databaseConnected, issuer, serverCertificate } =
    vitals;
  return [
    { name: 'listening', ok: listening, detail: listening ? 'yes' : 'no' },
    {
      name: 'audit log',
      ok: auditLogWritable,
      detail: auditLogWritable ? 'writable' : 'the last write failed; the next one tries again',
    },
    ...databaseChecks(databaseConnected),
    expiry('issuer', issuer, nowMs),
    expiry('server certificate', serverCertificate, nowMs),
  ];
}

/** Nothing is enrolled or changed while the database is away. */
export function databaseChecks(isConnected: boolean | undefined): readonly Check[] {
  if (isConnected === undefined) return [];
  const detail = isConnected ? 'connected, this instance is active' : 'not connected, will retry';
  return [{ name: 'database', ok: isConnected, detail }];
}

function expiry(name: string, one: CertificateFacts | undefined, nowMs: number): Check {
  if (one === undefined) return { name, ok: false, detail: 'there is none' };
  const { notAfterMs } = one;
  return {
    name,
    ok: notAfterMs > nowMs,
    detail: `expires ${new Date(notAfterMs).toISOString()}`,
  };
}
