/**
 * Reads the values of the gauges from the parts of a broker.
 *
 * @module
 */
import type { X509Certificate } from 'node:crypto';
import type { Directory } from '../feed/broker-directory.ts';
import type { HandshakeQuota } from '../listeners/handshake-quota.ts';
import type { BrokerPorts } from '../listeners/entrance.ts';
import type { SessionLayer } from '../contracts/session-layer.ts';
import type { JournalFacts } from '../journal/journal-thread.ts';
import type { ClusterFacts } from './cluster-gauges.ts';
import type { Gauges } from './gauge-metrics.ts';

export interface GaugeSources {
  readonly nowMs: number;
  readonly connections: number;
  readonly quota: HandshakeQuota;
  readonly ports: Pick<BrokerPorts, 'fronts' | 'frontRestarts'>;
  readonly directory: Directory;
  readonly feedConnected: boolean;
  readonly leaf: X509Certificate;
  readonly authorities: readonly X509Certificate[];
  readonly reloadFailed: boolean;
  /** The journals in the database. */
  readonly journals: readonly JournalFacts[];
  /** The part of a cluster that this broker is; undefined: it works alone. */
  readonly node: ClusterFacts | undefined;
  readonly layer: SessionLayer;
  readonly deniedByRule: ReadonlyMap<string, number>;
}

/** Reads the values of one scrape. */
export function brokerGauges(sources: GaugeSources): Gauges {
  const { quota, ports, directory, layer, nowMs } = sources;
  const statistics = layer.statistics();
  return {
    connections: sources.connections,
    handshakesHalfOpen: quota.halfOpen,
    handshakesWaiting: quota.waiting,
    handshakesAbandoned: quota.abandoned,
    directoryEntries: directory.size,
    directorySequence: directory.sequence,
    feedConnected: sources.feedConnected,
    registryBehind: directory.earlier !== undefined,
    serverCertificateNotAfterMs: notAfterMsOf(sources.leaf),
    authorityNotAfterMs: Math.min(...sources.authorities.map(notAfterMsOf)),
    reloadFailed: sources.reloadFailed,
    journals: sources.journals,
    cluster: sources.node,
    nowMs,
    deniedByRule: sources.deniedByRule,
    fronts: ports.fronts,
    frontRestarts: ports.frontRestarts,
    *fleetLeftMs() {
      for (const { role, certificates } of directory.entries()) {
        if (role === 'broker') continue;
        let newest = -Infinity;
        for (const { status, notAfterMs } of certificates) {
          if (status === 'active') newest = Math.max(newest, notAfterMs);
        }
        if (newest !== -Infinity) yield newest - nowMs;
      }
    },
    statistics: () => statistics,
  };
}

function notAfterMsOf(certificate: X509Certificate): number {
  return certificate.validToDate.getTime();
}
