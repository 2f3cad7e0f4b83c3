/**
 * The responders of the roots while the service runs. Each is opened when somebody asks about an issuer for the first
 * time, because decrypting its key takes time, and read again regularly: a command may have stored a new one.
 *
 * @module
 */
import type { CertificateFacts } from '../../certs/certificate.ts';
import type { OcspResponder } from '../../certs/ocsp.ts';
import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/log.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { openRootResponder, readRootResponder } from '../ca/root-responder.ts';

/** How often the files are read again, in ms. */
const readEveryMs = 60_000;

export interface RootRespondersDeps {
  readonly state: StateFolder;
  readonly clock: Clock;
  readonly log: Logger;
  /** Read for each use: the passphrase is not kept in memory. */
  readonly passphrase: () => Promise<string>;
}

interface Known {
  readonly readAtMs: number;
  readonly responder: Promise<OcspResponder | undefined>;
}

export class RootResponders {
  readonly #deps: RootRespondersDeps;
  readonly #known = new Map<string, Known>();

  constructor(deps: RootRespondersDeps) {
    this.#deps = deps;
  }

  /** The responder of a root; undefined when there is none, or it is not valid now. */
  async of(root: CertificateFacts): Promise<OcspResponder | undefined> {
    const { clock } = this.#deps;
    const known = this.#known.get(root.fingerprint);
    const nowMs = clock.monotonicMs();
    let responder = known?.responder;
    if (known === undefined || responder === undefined || nowMs - known.readAtMs >= readEveryMs) {
      responder = this.#read(root, known?.responder);
      this.#known.set(root.fingerprint, { readAtMs: nowMs, responder });
    }
    const found = await responder;
    if (found === undefined) return undefined;
    const { notBeforeMs, notAfterMs } = found.certificate;
    return notBeforeMs <= clock.now() && clock.now() < notAfterMs ? found : undefined;
  }

  async #read(
    root: CertificateFacts,
    before: Promise<OcspResponder | undefined> | undefined,
  ): Promise<OcspResponder | undefined> {
    const { state, log, passphrase } = this.#deps;
    const known = await before;
    try {
      const certificate = await readRootResponder(state, root);
      if (certificate === undefined) return undefined;
      if (known?.certificate.fingerprint === certificate.fingerprint) return known;
      return await openRootResponder(state, await passphrase(), root);
    } catch (error) {
      log.warn({ err: error }, 'OCSP requests about issuers cannot be answered');
      return known;
    }
  }
}
