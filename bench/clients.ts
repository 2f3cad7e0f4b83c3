/**
 * The clients of a run: names, certificates, contexts.
 *
 * @module
 */
import type { SecureContext } from 'node:tls';
import { clientContext, type RunCertificates } from './certificates.ts';

export const deviceCount = 20;
export const serviceCount = 250;

/** `device-0` … and `service-0` …: the roles follow the names. */
export const clientNames: readonly string[] = [
  ...Array.from({ length: deviceCount }, (_, index) => `device-${index}`),
  ...Array.from({ length: serviceCount }, (_, index) => `service-${index}`),
];

export class Clients {
  readonly #certificates: RunCertificates;
  readonly #contexts = new Map<string, SecureContext>();

  constructor(certificates: RunCertificates) {
    this.#certificates = certificates;
  }

  context(name: string): SecureContext {
    let context = this.#contexts.get(name);
    if (context === undefined) {
      const identity = this.#certificates.clients.get(name);
      if (identity === undefined) throw new Error(`no client ${name}`);
      context = clientContext(this.#certificates.ca, identity);
      this.#contexts.set(name, context);
    }
    return context;
  }
}
