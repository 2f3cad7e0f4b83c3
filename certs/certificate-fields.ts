/**
 * Fields of a foreign certificate that can name a device: parts of the subject and alternative names, also
 * those of an IDevID (IEEE 802.1AR, 8.10.4 and RFC 4108, 5: hardwareModuleName).
 *
 * @module
 */
import { certificateMaxBytes, type CertificateFacts } from './certificate.ts';
import { contextTag, decodeDer, DerError, tags, type DerNode } from './der.ts';
import { Fields, oidOf } from './der-fields.ts';
import { oids } from './oids.ts';

export const certificateFieldNames = [
  'commonName',
  'serialNumber',
  'dnsName',
  'uri',
  'hardwareSerial',
  'hardwareSerialText',
] as const;
export type CertificateField = (typeof certificateFieldNames)[number];

const limits = { maxBytes: certificateMaxBytes };

/**
 * The values of a field, in the order of the certificate. `serialNumber` is that of the subject, not of the
 * certificate. `hardwareSerial` is hexadecimal, `hardwareSerialText` the same bytes as ASCII.
 *
 * @throws DerError when the subject or the alternative names are malformed
 */
export function fieldValues(certificate: CertificateFacts, field: CertificateField): string[] {
  switch (field) {
    case 'commonName':
      return subjectTexts(certificate.subject, oids.commonName);
    case 'serialNumber':
      return subjectTexts(certificate.subject, oids.serialNumber);
    case 'dnsName':
      return [...certificate.names.dns];
    case 'uri':
      return [...certificate.names.uri];
    case 'hardwareSerial':
      return hardwareSerials(certificate).map((bytes) => bytes.toString('hex'));
    case 'hardwareSerialText':
      return hardwareSerials(certificate).map(asciiOf);
  }
}

function subjectTexts(subject: Buffer, type: string): string[] {
  const { children } = decodeDer(subject, limits);
  return children
    .flatMap((relative) => relative.children)
    .flatMap((pair) => {
      const fields = new Fields(pair, tags.sequence, 'name attribute');
      return oidOf(fields.next(tags.oid)) === type ? [textOf(fields.any())] : [];
    });
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function textOf({ tag, content }: DerNode): string {
  if (tag === tags.printableString || tag === tags.ia5String) return asciiOf(content);
  if (tag !== tags.utf8String) throw new DerError('a name of an outdated string type');
  try {
    return utf8.decode(content);
  } catch (error) {
    throw new DerError('a UTF8String that is not UTF-8', { cause: error });
  }
}

function asciiOf(bytes: Buffer): string {
  const text = bytes.toString('latin1');
  if (/[^\x20-\x7e]/.test(text)) throw new DerError('a text that is not ASCII');
  return text;
}

/** OtherName ::= SEQUENCE { type-id OID, value [0] EXPLICIT HardwareModuleName }, tagged [0] IMPLICIT. */
function hardwareSerials({ extensions }: CertificateFacts): Buffer[] {
  const value = extensions.get(oids.subjectAltName)?.value;
  if (value === undefined) return [];
  return decodeDer(value, limits)
    .children.filter(({ tag }) => tag === contextTag(0))
    .flatMap((otherName) => {
      const fields = new Fields(otherName, contextTag(0), 'other name');
      if (oidOf(fields.next(tags.oid)) !== oids.hardwareModuleName) return [];
      const wrapped = new Fields(fields.next(contextTag(0)), contextTag(0), 'other name');
      const module = new Fields(wrapped.next(tags.sequence), tags.sequence, 'hardwareModuleName');
      module.next(tags.oid);
      return [module.next(tags.octetString).content];
    });
}
