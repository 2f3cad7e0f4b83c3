/**
 * Certificate requests of CMP: CRMF (RFC 4211), in the profile of RFC 9483, 4.1.
 *
 * One request, whose template names the subject and the public key, with a signature of that key (proof of
 * possession). A private key never leaves its device, so requests that want the CA to make one are refused, and so is
 * the word of a registration authority (`raVerified`).
 *
 * @module
 */
import { FlotillaError } from '../core/errors/flotilla-error.ts';
import { claimedAlgorithm, signatureIsRight } from './algorithms.ts';
import { requestedAltNames, type Csr } from './csr.ts';
import { contextTag, decodeDer, DerError, tags, type DerNode } from './der.ts';
import { sequence } from './der-encode.ts';
import { expectTag, Fields, oidOf, serialOf, smallNumberOf, wholeBytesOf } from './der-fields.ts';
import { subjectCommonName } from './distinguished-name.ts';
import { readExtensions } from './extensions.ts';
import { fingerprintOf } from './key.ts';
import { oids } from './oids.ts';
import { publicKeyObject, readSpki } from './public-key.ts';
import { noNames } from './subject-names.ts';

/** The largest template, in bytes: what it contains is part of a certificate. */
const templateMaxBytes = 16 * 1024;
const controlsMax = 16;

/** A certificate by issuer and serial number. */
export interface CertificateId {
  /** Name, DER. */
  readonly issuer: Buffer;
  /** Hexadecimal, as everywhere. */
  readonly serial: string;
}

export interface CrmfRequest {
  /**
   * Verified. `der` is the template without the proof of possession: a client that repeats its request signs it
   * again, and it is still the same request.
   */
  readonly csr: Csr;
  /** The certificate that is to be updated, if the request names one. */
  readonly oldCertificate: CertificateId | undefined;
}

/**
 * Parses CertReqMessages and verifies the proof of possession.
 *
 * @throws FlotillaError `csr-signature-invalid`, `csr-key-unsupported`, `csr-algorithm-unsupported`,
 *   `csr-name-invalid`, `operation-refused` (more than one request, key generation by the CA, raVerified)
 * @throws DerError
 */
export function readCrmf(node: DerNode): CrmfRequest {
  const { children } = expectTag(node, tags.sequence, 'certificate requests');
  const [first] = children;
  if (first === undefined || children.length > 1) {
    throw new FlotillaError('operation-refused', { detail: 'expected one certificate request' });
  }
  const message = new Fields(first, tags.sequence, 'certificate request');
  const requestNode = message.next(tags.sequence);
  const proof = message.hasMore() ? message.any() : undefined;
  // The proof is a choice of tags; registration information is a SEQUENCE.
  if (message.hasMore()) message.next(tags.sequence);
  message.end();
  const request = new Fields(requestNode, tags.sequence, 'certificate request');
  // RFC 9483, 4.1.1: it is 0.
  if (smallNumberOf(request.next(tags.integer)) !== 0) throw new DerError('certReqId: not 0');
  const template = request.next(tags.sequence);
  const controls = request.optional(tags.sequence);
  request.end();
  if (template.der.length > templateMaxBytes) throw new DerError('certificate template: too large');
  const parts = readTemplate(template);
  if (parts.spki === undefined) {
    throw new FlotillaError('operation-refused', {
      detail: 'a private key never leaves its device',
    });
  }
  if (parts.subject === undefined) throw new DerError('certificate template: no subject');
  const facts = readSpki(parts.spki);
  const commonName = subjectCommonName(parts.subject);
  const names = parts.altNames === undefined ? noNames : requestedAltNames(parts.altNames);
  const publicKey = publicKeyObject(facts);
  const { algorithm, signature } = readProof(proof);
  const claimed = claimedAlgorithm(algorithm, facts.type, 'accept');
  if (claimed === undefined) throw new FlotillaError('csr-algorithm-unsupported');
  if (!signatureIsRight(claimed, requestNode.der, publicKey, signature)) {
    throw new FlotillaError('csr-signature-invalid');
  }
  return {
    csr: {
      der: template.der,
      spki: facts.spki,
      publicKey,
      keyType: facts.type,
      keyFingerprint: fingerprintOf(facts.spki),
      commonName,
      names,
    },
    oldCertificate: controls === undefined ? undefined : oldCertificateOf(controls),
  };
}

interface TemplateParts {
  readonly serial: string | undefined;
  /** Name. */
  readonly issuer: DerNode | undefined;
  /** Name. */
  readonly subject: DerNode | undefined;
  readonly spki: DerNode | undefined;
  /** The content of the subjectAltName extension. */
  readonly altNames: Buffer | undefined;
}

/**
 * Parses a CertTemplate. Serial number, algorithm, issuer, validity and other extensions are the CA's decision; they
 * must be well-formed only.
 */
function readTemplate(node: DerNode): TemplateParts {
  const fields = new Fields(node, tags.sequence, 'certificate template');
  fields.optional(contextTag(0, 'primitive'));
  const serial = fields.optional(contextTag(1, 'primitive'));
  fields.optional(contextTag(2));
  const issuer = nameIn(fields.optional(contextTag(3)));
  fields.optional(contextTag(4));
  const subject = nameIn(fields.optional(contextTag(5)));
  const spki = fields.optional(contextTag(6));
  fields.optional(contextTag(7, 'primitive'));
  fields.optional(contextTag(8, 'primitive'));
  const extensions = fields.optional(contextTag(9));
  fields.end();
  const untagged = (implicit: DerNode): DerNode =>
    decodeDer(sequence(implicit.content), { maxBytes: templateMaxBytes });
  return {
    serial: serial === undefined ? undefined : serialOf({ ...serial, tag: tags.integer }),
    issuer,
    subject,
    spki: spki === undefined ? undefined : untagged(spki),
    altNames:
      extensions === undefined
        ? undefined
        : readExtensions(untagged(extensions)).get(oids.subjectAltName)?.value,
  };
}

/** The certificate that a template names, for its revocation. @throws DerError */
export function certificateIdOf(template: DerNode): CertificateId {
  const { issuer, serial } = readTemplate(template);
  if (issuer === undefined || serial === undefined) {
    throw new DerError('certificate template: no issuer or no serial number');
  }
  return { issuer: issuer.der, serial };
}

/** Name is a CHOICE, so its tag is explicit. */
function nameIn(wrapped: DerNode | undefined): DerNode | undefined {
  if (wrapped === undefined) return undefined;
  const [name, more] = wrapped.children;
  if (name === undefined || more !== undefined) throw new DerError('name: not one value');
  return expectTag(name, tags.sequence, 'name');
}

/** RFC 4211, 4.1: with subject and key in the template, the signature is over the CertRequest. */
function readProof(node: DerNode | undefined): { algorithm: DerNode; signature: Buffer } {
  if (node === undefined) {
    throw new FlotillaError('csr-signature-invalid', { detail: 'no proof of possession' });
  }
  if (node.tag !== contextTag(1)) {
    throw new FlotillaError('operation-refused', {
      detail: 'the proof of possession is not a signature of the key',
    });
  }
  const fields = new Fields(node, contextTag(1), 'proof of possession');
  const algorithm = fields.next(tags.sequence);
  const signature = wholeBytesOf(fields.next(tags.bitString));
  fields.end();
  return { algorithm, signature };
}

/** RFC 4211, 6.5. Other controls are ignored: nothing in them changes what is issued. */
function oldCertificateOf(controls: DerNode): CertificateId | undefined {
  const list = new Fields(controls, tags.sequence, 'controls');
  let found: CertificateId | undefined;
  for (let count = 0; list.hasMore(); count++) {
    if (count >= controlsMax) throw new DerError('controls: too many');
    const pair = new Fields(list.next(tags.sequence), tags.sequence, 'control');
    const type = oidOf(pair.next(tags.oid));
    const value = pair.any();
    pair.end();
    if (type !== oids.oldCertId) continue;
    if (found !== undefined) throw new DerError('control: oldCertID comes twice');
    const fields = new Fields(value, tags.sequence, 'oldCertID');
    const issuer = nameIn(fields.next(contextTag(4)));
    const serial = serialOf(fields.next(tags.integer));
    fields.end();
    if (issuer === undefined) throw new DerError('oldCertID: no issuer');
    found = { issuer: issuer.der, serial };
  }
  return found;
}
