/**
 * The metrics port of the enrollment service: `/metrics`, `/healthz`, `/readyz` and `/statusz`.
 *
 * @module
 */
import type { CertificateFacts } from '../../certs/certificate.ts';
import { systemClock, type Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import type { Lifecycle } from '../../core/lifecycle.ts';
import { EventLoopLag } from '../../core/telemetry/event-loop-lag.ts';
import { MetricsServer, type Check } from '../../core/telemetry/metrics-server.ts';
import { registerProcessMetrics } from '../../core/telemetry/process-metrics.ts';
import type { AuditTrail } from '../audit/audit-trail.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import type { Feed } from '../feed/directory-feed.ts';
import type { Registry } from '../registry/registry.ts';
import {
  enrollmentHealth,
  enrollmentReadiness,
  type EnrollmentVitals,
} from './enrollment-health.ts';
import { EnrollmentMetrics, type EnrollmentGauges } from './enrollment-metrics.ts';

export interface EnrollmentTelemetryDeps {
  readonly audit: AuditTrail;
  readonly ca: CertificateAuthority;
  readonly clock: Clock;
  readonly connection?: { readonly isConnected: boolean } | undefined;
  readonly config: Config;
  readonly feed: Feed;
  readonly registry: Registry;
  readonly serverCertificate: () => CertificateFacts;
  readonly status: () => Promise<{ readonly checks: readonly Check[] }>;
}

export class EnrollmentTelemetry {
  readonly metrics = new EnrollmentMetrics();
  readonly #deps: EnrollmentTelemetryDeps;
  readonly #lag: EventLoopLag;
  #isListening = false;

  constructor(deps: EnrollmentTelemetryDeps) {
    this.#deps = deps;
    this.#lag = new EventLoopLag(systemClock, (lagMs) => this.metrics.eventLoopLate(lagMs));
  }

  /**
   * Opens the metrics port, before the port for devices, so that supervisors can ask for readiness.
   *
   * @throws FlotillaError `address-in-use`, `start-failed`
   */
  async open(lifecycle: Lifecycle): Promise<{ readonly url: string }> {
    const { audit, config } = this.#deps;
    const { registry } = this.metrics;
    registerProcessMetrics(registry, 'enrollment');
    this.metrics.registerGauges(() => this.#gauges());
    lifecycle.add(
      'audit metrics',
      audit.watch(({ action }) => this.metrics.audited(action)),
    );
    this.#lag.start();
    lifecycle.add('event loop lag', () => this.#lag.stop());
    const server = new MetricsServer({
      metrics: () => registry.metrics(),
      metricsType: registry.contentType,
      health: () => enrollmentHealth(this.#vitals()),
      readiness: () => enrollmentReadiness(this.#vitals()),
      status: async () => (await this.#deps.status()).checks,
    });
    const { metricsHost, metricsPort } = config.enroll;
    const address = await server.listen(metricsHost, metricsPort);
    lifecycle.add('metrics', () => server.close());
    return address;
  }

  /** Devices can reach the service from now on. */
  listening(): void {
    this.#isListening = true;
  }

  #vitals(): EnrollmentVitals {
    const { audit, ca, clock, connection, serverCertificate } = this.#deps;
    return {
      nowMs: clock.now(),
      databaseConnected: connection?.isConnected,
      lagMs: this.#lag.lagMs,
      listening: this.#isListening,
      auditLogWritable: !audit.isBroken,
      issuer: ca.inventory.current?.certificate,
      serverCertificate: serverCertificate(),
    };
  }

  async #gauges(): Promise<EnrollmentGauges> {
    const { audit, ca, clock, feed, registry, serverCertificate } = this.#deps;
    return {
      nowMs: clock.now(),
      identities: await registry.count('devices'),
      brokers: feed.brokers.length,
      changesUnconfirmed: Math.max(0, ...feed.links.map(({ changesBehind }) => changesBehind)),
      feedSequence: feed.sequence,
      auditLogWritable: !audit.isBroken,
      rootNotAfterMs: ca.root.notAfterMs,
      // 0 s are left while a withdrawn issuer is being replaced.
      issuerNotAfterMs: ca.inventory.current?.certificate.notAfterMs ?? clock.now(),
      serverCertificateNotAfterMs: serverCertificate().notAfterMs,
    };
  }
}
