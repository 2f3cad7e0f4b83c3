/**
 * Factory certificates: what a manufacturer put into a device, good for one thing, asking for
 * enrollment. An operator registers the CA that signed them.
 *
 * @module
 */
import type { X509Certificate } from 'node:crypto';
import { readCertificate, splitPem, type CertificateFacts } from '../../certs/certificate.ts';
import { anchorFault, pathFault, pathIntermediatesMax } from '../../certs/certification-path.ts';
import type { Clock } from '../../core/clock.ts';
import type { DeviceId } from '../../core/device-id.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { FactoryRecord } from '../registry/records.ts';
import type { Registry, Stored } from '../registry/registry.ts';

/** A factory certificate whose owner proved that he has its key. */
export interface FactoryAuthorization {
  readonly factory: FactoryRecord;
  readonly device: DeviceId;
  readonly serial: string;
  readonly fingerprint: string;
}

export interface FactoryRequest {
  readonly name: string;
  readonly certificate: string;
  readonly group?: string | undefined;
  readonly profile?: string | undefined;
  readonly allowed?: readonly string[] | undefined;
  readonly approval: boolean;
}

/** How many manufacturers' CAs may be registered. */
export const factoriesMax = 64;

/** A row for a manufacturer's CA. @throws FlotillaError `factory-invalid`, `certificate-unreadable` */
export function factoryRecord(request: FactoryRequest, nowMs: number): FactoryRecord {
  const facts = readCertificate(request.certificate);
  const fault =
    splitPem(request.certificate).length > 1
      ? 'give one certificate; devices show those below it'
      : anchorFault(facts, nowMs);
  if (fault !== undefined) throw new FlotillaError('factory-invalid', { detail: fault });
  return {
    name: request.name,
    certificate: facts.pem,
    fingerprint: facts.fingerprint,
    group: request.group ?? null,
    profile: request.profile ?? null,
    allowed: request.allowed ?? null,
    approval: request.approval,
    createdAtMs: nowMs,
  };
}

/** How many paths of factory certificates are remembered for resumed TLS sessions. */
const pathsMax = 1000;

interface KnownFactory {
  readonly record: FactoryRecord;
  readonly ca: CertificateFacts;
}

/** The registered CAs, kept at hand: asked for each request with a certificate that is not ours. */
export class Factories {
  readonly #clock: Clock;
  #known: readonly KnownFactory[] = [];
  /** By the leaf's fingerprint: what it showed above itself, for a resumed session shows nothing. */
  readonly #shown = new Map<string, readonly CertificateFacts[]>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** PEM of each: what TLS names to clients as accepted issuers. */
  get pems(): readonly string[] {
    return this.#known.map(({ record }) => record.certificate);
  }

  async load(registry: Registry): Promise<void> {
    const records: Stored<FactoryRecord>[] = [];
    for await (const record of registry.rows('factories')) records.push(record);
    this.#known = records.map((record) => ({ record, ca: readCertificate(record.certificate) }));
    this.#shown.clear();
  }

  /**
   * What a certificate that a TLS client proved to own is worth, with the CAs that it showed with it
   * (`issuerCertificate`). The path to a registered CA is decided anew each time.
   *
   * @returns undefined when it names no registered CA
   * @throws FlotillaError `factory-certificate-refused`: the path does not hold, the certificate is
   *   not listed, or has no identity
   */
  authorization(certificate: X509Certificate): FactoryAuthorization | undefined {
    const found = this.#pathOf(certificate);
    if (found === undefined) return undefined;
    const { record, ca } = found.factory;
    const refuse = (detail: string): FlotillaError =>
      new FlotillaError('factory-certificate-refused', { detail: `${record.name}: ${detail}` });
    const fault = pathFault(found.path, ca, this.#clock.now());
    if (fault !== undefined) throw refuse(fault);
    if (found.path.length > 1) this.#remember(certificate, found.path);
    const [leaf] = found.path;
    if (leaf?.commonName.ok !== true) throw refuse('its common name is not a device id');
    const { serial, fingerprint } = leaf;
    const { id } = leaf.commonName;
    const { allowed } = record;
    if (allowed !== null && !allowed.includes(serial) && !allowed.includes(id)) {
      throw refuse('it is not on the list');
    }
    return { factory: record, device: id, serial, fingerprint };
  }

  /** The way up to the nearest registered CA, by names and key identifiers: nothing is proved yet. */
  #pathOf(
    leaf: X509Certificate,
  ): { path: readonly CertificateFacts[]; factory: KnownFactory } | undefined {
    const chain = chainOf(leaf);
    const before = chain.length > 1 ? undefined : this.#shown.get(leaf.fingerprint256);
    const shown = before?.map(({ x509 }) => x509) ?? chain;
    for (const [at, one] of shown.entries()) {
      const factory = this.#known.find(({ ca }) => one.checkIssued(ca.x509));
      if (factory === undefined) continue;
      return { path: shown.slice(0, at + 1).map(readCertificate), factory };
    }
    return undefined;
  }

  #remember(leaf: X509Certificate, path: readonly CertificateFacts[]): void {
    const { fingerprint256 } = leaf;
    if (this.#shown.has(fingerprint256)) return;
    const [oldest] = this.#shown.keys();
    if (this.#shown.size >= pathsMax && oldest !== undefined) this.#shown.delete(oldest);
    this.#shown.set(fingerprint256, path);
  }
}

/** The leaf and what it showed above itself, as far as a path may go. */
function chainOf(leaf: X509Certificate): X509Certificate[] {
  const chain = [leaf];
  for (let next = leaf.issuerCertificate; next !== undefined; next = next.issuerCertificate) {
    if (chain.length > pathIntermediatesMax) break;
    chain.push(next);
  }
  return chain;
}
