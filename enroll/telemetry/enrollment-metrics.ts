/**
 * The metrics of the enrollment service: decisions as they are written to the audit log, responses by status,
 * and the state of CA, feed and registry at each scrape.
 *
 * @module
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { auditActions } from '../audit/audit-event.ts';

/** The values of one scrape. */
export interface EnrollmentGauges {
  readonly nowMs: number;
  readonly identities: number;
  readonly brokers: number;
  /** How many directory changes the slowest connected broker has not confirmed. */
  readonly changesUnconfirmed: number;
  readonly feedSequence: number;
  readonly auditLogWritable: boolean;
  readonly rootNotAfterMs: number;
  readonly issuerNotAfterMs: number;
  readonly serverCertificateNotAfterMs: number;
}

const secondMs = 1000;

/** Name, help text and value of each gauge. */
const gaugeTable: readonly (readonly [string, string, (gauges: EnrollmentGauges) => number])[] = [
  [
    'flotilla_enroll_identities',
    'Identities in the registry: devices, services, operators and brokers.',
    (g) => g.identities,
  ],
  [
    'flotilla_enroll_brokers_connected',
    'Brokers that are connected to the feed.',
    (g) => g.brokers,
  ],
  [
    'flotilla_enroll_changes_unconfirmed',
    'Directory changes that the slowest connected broker has not confirmed.',
    (g) => g.changesUnconfirmed,
  ],
  [
    'flotilla_enroll_directory_sequence',
    'Sequence number of the last directory change.',
    (g) => g.feedSequence,
  ],
  [
    'flotilla_enroll_audit_log_writable',
    '0 while the audit log cannot be written: nothing is enrolled or changed then.',
    (g) => (g.auditLogWritable ? 1 : 0),
  ],
  [
    'flotilla_enroll_root_expires_in_seconds',
    'Time until the root certificate expires.',
    (g) => (g.rootNotAfterMs - g.nowMs) / secondMs,
  ],
  [
    'flotilla_enroll_issuer_expires_in_seconds',
    'Time until the certificate of the issuer that signs expires.',
    (g) => (g.issuerNotAfterMs - g.nowMs) / secondMs,
  ],
  [
    'flotilla_enroll_server_certificate_expires_in_seconds',
    "Time until the service's own certificate expires.",
    (g) => (g.serverCertificateNotAfterMs - g.nowMs) / secondMs,
  ],
];

/** All metrics are in a registry of their own, so that one process can run several services. */
export class EnrollmentMetrics {
  readonly registry = new Registry();
  readonly #events = new Counter({
    name: 'flotilla_enroll_audit_events_total',
    help: 'Lines of the audit log, by action.',
    labelNames: ['action'] as const,
    registers: [this.registry],
  });
  readonly #responses = new Counter({
    name: 'flotilla_enroll_http_responses_total',
    help: 'HTTP responses, by status.',
    labelNames: ['status'] as const,
    registers: [this.registry],
  });
  readonly #eventLoopLag = new Histogram({
    name: 'flotilla_enroll_event_loop_lag_seconds',
    help: 'Delay of a timer of the event loop.',
    buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1],
    registers: [this.registry],
  });

  /** Every series starts at 0, because `increase()` sees nothing when a series begins with its first event. */
  constructor() {
    for (const action of auditActions) this.#events.inc({ action }, 0);
    for (const status of ['2xx', '3xx', '4xx', '5xx']) this.#responses.inc({ status }, 0);
  }

  audited(action: (typeof auditActions)[number]): void {
    this.#events.inc({ action });
  }

  responded(status: number): void {
    this.#responses.inc({ status: `${Math.floor(status / 100)}xx` });
  }

  eventLoopLate(lagMs: number): void {
    this.#eventLoopLag.observe(lagMs / secondMs);
  }

  /** @param read called once for each gauge at each scrape */
  registerGauges(read: () => EnrollmentGauges | Promise<EnrollmentGauges>): void {
    for (const [name, help, value] of gaugeTable) {
      new Gauge({
        name,
        help,
        registers: [this.registry],
        async collect() {
          this.set(value(await read()));
        },
      });
    }
  }
}
