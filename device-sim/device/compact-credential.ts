/**
 * Stores a credential with its issuer certificates shared: all devices of a process have the same
 * issuers, and ten thousand copies of them take 6 MB.
 *
 * @module
 */
import type { DeviceCredential } from './credential.ts';

const pemEnd = '-----END CERTIFICATE-----';
const sharedIssuersMax = 16;
const sharedIssuers = new Map<string, string>();

export class CompactCredential {
  /** The chain of this one is the leaf certificate only. */
  readonly #credential: DeviceCredential;
  readonly #issuers: string;

  constructor(credential: DeviceCredential) {
    const { chain } = credential;
    const leafEnd = chain.indexOf(pemEnd) + pemEnd.length;
    this.#credential = { ...credential, chain: detached(chain.slice(0, leafEnd)) };
    this.#issuers = shared(chain.slice(leafEnd));
  }

  /** The credential with its complete chain. */
  complete(): DeviceCredential {
    return { ...this.#credential, chain: this.#credential.chain + this.#issuers };
  }
}

function shared(issuers: string): string {
  let known = sharedIssuers.get(issuers);
  if (known === undefined) {
    if (sharedIssuers.size >= sharedIssuersMax) sharedIssuers.clear();
    sharedIssuers.set((known = detached(issuers)), known);
  }
  return known;
}

/** Copies a text, because a slice keeps the whole original text in memory. */
function detached(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}
