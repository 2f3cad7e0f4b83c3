/**
 * Certificate requests of CMP (RFC 9483, 4.1): enrollment and renewal, polling and confirmation.
 *
 * @module
 */
import { hash } from 'node:crypto';
import {
  certificateReply,
  pollReply,
  readConfirmations,
  readPoll,
  waitingReply,
  type CmpRequestId,
} from '../../certs/cmp-body.ts';
import { readCmp, type CmpBodyName, type CmpMessage } from '../../certs/cmp-message.ts';
import { readCrmf } from '../../certs/crmf.ts';
import { parseCsr, type Csr } from '../../certs/csr.ts';
import { oids } from '../../certs/oids.ts';
import type { Clock } from '../../core/clock.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import type { Enrollment, EnrollOutcome } from '../enrollment/enrollment.ts';
import type { IssueResult } from '../enrollment/issue-result.ts';
import type { Renewal } from '../enrollment/renewal.ts';
import { retryOnConflict, type Registry } from '../registry/registry.ts';
import type { CmpSender } from './cmp-sender.ts';
import { certificateDersIn } from './cmp-signer.ts';
import { CmpTransactions, type CmpTransaction } from './cmp-transactions.ts';

/** What a message is answered with, before it is protected. */
export interface CmpReply {
  readonly body: CmpBodyName;
  /** DER. */
  readonly value: Buffer;
  /** For extraCerts, DER. */
  readonly certificates?: readonly Buffer[];
  /** The transaction that goes on: it gets the nonce of the response. */
  readonly transaction?: CmpTransaction;
  readonly implicitConfirm?: boolean;
}

export interface CmpRequestsDeps {
  readonly ca: CertificateAuthority;
  readonly clock: Clock;
  readonly enrollment: Enrollment;
  readonly registry: Registry;
  readonly renewal: Renewal;
}

interface CallFacts {
  readonly profile: string | undefined;
  readonly remoteAddress: string;
}

type RequestName = 'ir' | 'cr' | 'p10cr' | 'kur';

const replyNames = { ir: 'ip', cr: 'cp', p10cr: 'cp', kur: 'kup' } as const;

export class CmpRequests {
  readonly #deps: CmpRequestsDeps;
  readonly #transactions: CmpTransactions;

  constructor(deps: CmpRequestsDeps) {
    this.#deps = deps;
    this.#transactions = new CmpTransactions(deps.clock);
  }

  /**
   * The first message of a transaction. What it grants is on the disk when this resolves.
   *
   * @throws FlotillaError `cmp-…`, `operation-refused`, and the errors of enrollment and renewal
   */
  async request(
    message: CmpMessage & { readonly bodyName: RequestName },
    sender: CmpSender,
    call: CallFacts,
  ): Promise<CmpReply> {
    const { header, body, bodyName } = message;
    this.#transactions.assertNew(header);
    assertMayRequest(bodyName, sender);
    const csr = csrIn(bodyName, body, sender);
    const outcome = await this.#decide(csr, sender, call);
    const transaction: CmpTransaction = {
      sender: sender.name,
      reply: replyNames[bodyName],
      // RFC 9480, 2.11.
      requestId: bodyName === 'p10cr' ? -1 : 0,
      csr,
      profile: call.profile,
      implicitConfirm: header.implicitConfirm,
      stage: { kind: 'waiting' },
      nonce: Buffer.alloc(0),
    };
    this.#transactions.begin(header, transaction);
    if (outcome.kind === 'issued') return this.#issued(transaction, sender, outcome.result);
    const value = waitingReply(transaction.requestId, waitingText(outcome.request));
    return { body: transaction.reply, value, transaction };
  }

  /** Asks again whether a request was approved. @throws FlotillaError as {@link request} */
  async poll(message: CmpMessage, sender: CmpSender, call: CallFacts): Promise<CmpReply> {
    const transaction = this.#transactions.follow(message.header, sender.name);
    const id = readCmp(() => readPoll(message.body));
    const { stage, csr, requestId, profile } = transaction;
    assertRequestId(id, requestId);
    if (stage.kind !== 'waiting') throw new FlotillaError('cmp-transaction-unknown');
    const outcome = await this.#decide(csr, sender, { ...call, profile });
    if (outcome.kind === 'issued') return this.#issued(transaction, sender, outcome.result);
    const value = pollReply(requestId, outcome.retryAfterSeconds, waitingText(outcome.request));
    return { body: 'pollRep', value, transaction };
  }

  #decide(
    csr: Csr,
    sender: CmpSender,
    { profile, remoteAddress }: CallFacts,
  ): Promise<EnrollOutcome> {
    const { enrollment } = this.#deps;
    const named = profile === undefined ? {} : { profile };
    const common = { csr, remoteAddress, ...named };
    switch (sender.kind) {
      case 'token': {
        const { token, device } = sender;
        return enrollment.enroll({ ...common, token, ...(device === null ? {} : { device }) });
      }
      case 'factory': {
        const { factory } = sender;
        return enrollment.enroll({ ...common, factory, device: factory.device });
      }
      case 'identity':
        return this.#renew(csr, sender, { profile, remoteAddress });
    }
  }

  async #renew(
    csr: Csr,
    { certificate, facts }: Extract<CmpSender, { kind: 'identity' }>,
    { profile, remoteAddress }: CallFacts,
  ): Promise<EnrollOutcome> {
    const { serial, fingerprint } = certificate;
    const result = await this.#deps.renewal.renew({
      csr,
      serial,
      fingerprint,
      names: facts.names,
      sameNames: true,
      profile,
      remoteAddress,
      via: 'cmp',
    });
    return { kind: 'issued', result };
  }

  #issued(transaction: CmpTransaction, sender: CmpSender, result: IssueResult): CmpReply {
    const { ca } = this.#deps;
    const { implicitConfirm, reply, requestId } = transaction;
    transaction.stage = implicitConfirm ? { kind: 'done' } : { kind: 'unconfirmed', result };
    // RFC 9483, 4.1.5: roots are trusted only by a client that shares a secret with the CA.
    const roots = sender.kind === 'token' ? ca.inventory.roots.map(({ der }) => der) : [];
    return {
      body: reply,
      value: certificateReply(requestId, result.der, roots),
      certificates: [
        result.issuer.der,
        ...certificateDersIn(ca.chainAbove(result.issuer.fingerprint)),
      ],
      transaction,
      implicitConfirm,
    };
  }

  /**
   * The client has seen its certificate. If it declines it, the certificate is retired.
   *
   * @throws FlotillaError `cmp-transaction-unknown`, `cmp-certificate-mismatch`, `cmp-malformed`,
   *   `registry-unavailable`
   */
  async confirm(message: CmpMessage, sender: CmpSender): Promise<void> {
    const transaction = this.#transactions.follow(message.header, sender.name);
    const confirmations = readCmp(() => readConfirmations(message.body));
    const { stage, requestId } = transaction;
    if (stage.kind !== 'unconfirmed') throw new FlotillaError('cmp-transaction-unknown');
    const [one, more] = confirmations;
    let isAccepted = false;
    if (one !== undefined) {
      if (more !== undefined) throw new FlotillaError('cmp-certificate-mismatch');
      assertRequestId(one.requestId, requestId);
      const digest = digestOf(one.hashAlgorithm, stage.result);
      if (!one.hash.equals(hash(digest, stage.result.der, 'buffer'))) {
        throw new FlotillaError('cmp-certificate-mismatch', { detail: 'certHash' });
      }
      ({ isAccepted } = one);
    }
    if (!isAccepted) await this.#decline(stage.result);
    transaction.stage = { kind: 'done' };
  }

  async #decline({ device, serial }: IssueResult): Promise<void> {
    const { registry, clock } = this.#deps;
    await retryOnConflict(async () => {
      const row = await registry.get('devices', device);
      if (row === undefined) return;
      const { version, ...record } = row;
      const retiredAtMs = clock.now();
      const certificates = record.certificates.map((one) =>
        one.serial === serial && one.status === 'active'
          ? ({ ...one, status: 'retired', retiredAtMs } as const)
          : one,
      );
      await registry.commit({
        puts: [{ table: 'devices', record: { ...record, certificates }, expected: version }],
        events: [
          {
            action: 'certificate-retired',
            actor: device,
            device,
            detail: { serial, reason: 'declined by the device' },
          },
        ],
      });
    });
  }
}

/** A token proves nothing about a current certificate, and a current certificate needs no enrollment. */
function assertMayRequest(name: RequestName, sender: CmpSender): void {
  const isIdentity = sender.kind === 'identity';
  if (name === 'kur' && !isIdentity) {
    throw new FlotillaError('operation-refused', {
      detail: 'an update is signed with the current certificate',
    });
  }
  if (name === 'ir' && isIdentity) {
    throw new FlotillaError('operation-refused', {
      detail: 'this device has a certificate: send an update (kur)',
    });
  }
}

function csrIn(name: RequestName, body: CmpMessage['body'], sender: CmpSender): Csr {
  if (name === 'p10cr') return parseCsr(body.der);
  const { csr, oldCertificate } = readCmp(() => readCrmf(body));
  if (oldCertificate !== undefined && sender.kind === 'identity') {
    const { facts } = sender;
    const isOwn =
      oldCertificate.serial === facts.serial && oldCertificate.issuer.equals(facts.issuer);
    if (!isOwn) throw new FlotillaError('cmp-certificate-mismatch', { detail: 'oldCertID' });
  }
  return csr;
}

function assertRequestId(id: CmpRequestId, expected: CmpRequestId): void {
  if (id !== expected) throw new FlotillaError('cmp-certificate-mismatch', { detail: 'certReqId' });
}

/** RFC 4210, 5.3.18: the hash of the certificate's signature. RFC 9480, 2.10: or the one that is named. */
function digestOf(named: string | undefined, { issuer }: IssueResult): string {
  const byName = new Map<string, string>([
    [oids.sha256, 'sha256'],
    [oids.sha384, 'sha384'],
    [oids.sha512, 'sha512'],
  ]);
  if (named !== undefined) {
    const digest = byName.get(named);
    if (digest === undefined)
      throw new FlotillaError('cmp-algorithm-refused', { detail: 'hashAlg' });
    return digest;
  }
  // The issuer has signed with the one algorithm of its key type. RFC 9481, 3.3: SHA-512 for Ed25519.
  const { asymmetricKeyType, asymmetricKeyDetails } = issuer.x509.publicKey;
  if (asymmetricKeyType === 'ed25519') return 'sha512';
  return asymmetricKeyDetails?.namedCurve === 'secp384r1' ? 'sha384' : 'sha256';
}

function waitingText(request: string): string {
  return `request ${request} waits for an operator`;
}
