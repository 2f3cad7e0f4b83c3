/**
 * Responses of CMP: protected with the secret of the client, or signed (RFC 9483, 3.2).
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import { encodeMac, freshMac, macOf } from '../../certs/cmp-mac.ts';
import { directoryName, encodeCmp, type CmpMessage } from '../../certs/cmp-message.ts';
import type { Clock } from '../../core/clock.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import type { CmpReply } from './cmp-requests.ts';
import type { CmpSender } from './cmp-sender.ts';
import { CmpSigner } from './cmp-signer.ts';

const nonceBytes = 16;

export interface CmpRepliesDeps {
  readonly ca: CertificateAuthority;
  readonly clock: Clock;
}

export class CmpReplies {
  readonly #deps: CmpRepliesDeps;
  readonly #signer: CmpSigner;

  constructor(deps: CmpRepliesDeps) {
    this.#deps = deps;
    this.#signer = new CmpSigner(deps.ca, deps.clock);
  }

  /**
   * Encodes the response to a message. It proves with the secret of the client that it comes from the service;
   * without one, and to clients that have not authenticated, with a signature.
   *
   * @throws FlotillaError `ca-expired`, `ca-token-failed`
   */
  async encode(
    { header }: CmpMessage,
    sender: CmpSender | undefined,
    { body, value, certificates = [], transaction, implicitConfirm = false }: CmpReply,
  ): Promise<Buffer> {
    const senderNonce = randomBytes(nonceBytes);
    const common = {
      version: header.version,
      recipient: header.sender,
      timeMs: this.#deps.clock.now(),
      transactionId: header.transactionId,
      senderNonce,
      recipientNonce: header.senderNonce,
      implicitConfirm,
      body,
      value,
    };
    if (transaction !== undefined) transaction.nonce = senderNonce;
    if (sender?.kind === 'token') {
      const mac = freshMac(sender.mac);
      return encodeCmp({
        ...common,
        sender: directoryName(this.#deps.ca.current.certificate.subject),
        senderKeyId: header.senderKeyId,
        protection: {
          algorithm: encodeMac(mac),
          of: (part) => macOf(mac, Buffer.from(sender.token), part),
        },
        certificates,
      });
    }
    const { certificate, chain, algorithm, sign } = await this.#signer.signing();
    return encodeCmp({
      ...common,
      sender: directoryName(certificate.subject),
      senderKeyId: certificate.subjectKeyId,
      protection: { algorithm, of: sign },
      // The certificate that has signed is the first (RFC 9483, 3.3).
      certificates: distinct([...chain, ...certificates]),
    });
  }
}

function distinct(certificates: readonly Buffer[]): Buffer[] {
  return [...new Map(certificates.map((one) => [one.toString('latin1'), one])).values()];
}
