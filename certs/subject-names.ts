/**
 * Subject alternative names: DNS names, IP addresses, URIs, each in one canonical form so that two
 * sets can be compared.
 *
 * @module
 */
import { isIP } from 'node:net';
import { printable } from '../core/escape.ts';
import { FlotillaError } from '../core/errors/flotilla-error.ts';
import { contextTag, DerError, tags, type DerNode } from './der.ts';
import { element, sequence } from './der-encode.ts';
import { Fields } from './der-fields.ts';

export interface SubjectNames {
  /** Lower case, no final dot. */
  readonly dns: readonly string[];
  /** Dotted IPv4, or IPv6 as RFC 5952 writes it. */
  readonly ip: readonly string[];
  readonly uri: readonly string[];
}

/** How many names one certificate may have. */
export const subjectNamesMax = 64;

export const noNames: SubjectNames = { dns: [], ip: [], uri: [] };

/**
 * Parses texts into names: an IP address, a URI (anything with a scheme), otherwise a DNS name.
 * Duplicates are removed.
 *
 * @throws FlotillaError `subject-name-invalid`
 */
export function subjectNamesOf(texts: readonly string[]): SubjectNames {
  const dns = new Set<string>();
  const ip = new Set<string>();
  const uri = new Set<string>();
  for (const text of texts) {
    if (isIP(text) !== 0) ip.add(ipText(ipBytes(text)));
    else if (uriGrammar.test(text)) uri.add(checked(text, isUri(text)));
    else dns.add(checked(text.toLowerCase().replace(/\.$/, ''), isDnsName(text)));
  }
  if (dns.size + ip.size + uri.size > subjectNamesMax) {
    throw new FlotillaError('subject-name-invalid', {
      detail: `more than ${subjectNamesMax} names`,
    });
  }
  return { dns: [...dns], ip: [...ip], uri: [...uri] };
}

/** Whether a text can be a DNS name in a certificate: no wildcard, at most 253 characters. */
export function isDnsName(text: string): boolean {
  const name = text.replace(/\.$/, '');
  return name.length <= 253 && name.split('.').every((label) => dnsLabel.test(label));
}

/** All names as sorted texts, for comparing two certificates. */
export function plainNames({ dns, ip, uri }: SubjectNames): string[] {
  return [...dns, ...ip, ...uri].sort();
}

/** Whether there are no names. */
export function isEmptyNames({ dns, ip, uri }: SubjectNames): boolean {
  return dns.length + ip.length + uri.length === 0;
}

/** The GeneralNames (DER) of RFC 5280, 4.2.1.6. @throws FlotillaError `subject-name-invalid` */
export function encodeNames(names: SubjectNames): Buffer {
  const ascii = (text: string): Buffer => Buffer.from(text, 'latin1');
  return sequence(
    ...names.dns.map((name) => element(dnsTag, ascii(checked(name, isDnsName(name))))),
    ...names.uri.map((name) => element(uriTag, ascii(checked(name, isUri(name))))),
    ...names.ip.map((name) => element(ipTag, ipBytes(name))),
  );
}

/**
 * Parses GeneralNames.
 *
 * @param others how to handle names that Flotilla does not issue: other types (mail addresses,
 *   directory names …) and wildcards, which foreign certificates may have
 * @throws DerError if it is not GeneralNames, or contains a name that must be rejected
 */
export function decodeNames(node: DerNode, others: 'refuse' | 'skip'): SubjectNames {
  const fields = new Fields(node, tags.sequence, 'alternative names');
  if (!fields.hasMore()) throw new DerError('alternative names: none');
  const dns = new Set<string>();
  const ip = new Set<string>();
  const uri = new Set<string>();
  for (let count = 0; fields.hasMore(); count++) {
    if (count >= subjectNamesMax) throw new DerError('alternative names: too many');
    const { tag, content } = fields.any();
    const text = content.toString('latin1');
    if (tag === dnsTag && isDnsName(text)) dns.add(text.toLowerCase());
    else if (tag === uriTag && isUri(text)) uri.add(text);
    else if (tag === ipTag && (content.length === 4 || content.length === 16))
      ip.add(ipText(content));
    else if (others === 'refuse') {
      throw new DerError(`alternative names: ${printable(text)} cannot be taken`);
    }
  }
  return { dns: [...dns], ip: [...ip], uri: [...uri] };
}

const dnsTag = contextTag(2, 'primitive');
const uriTag = contextTag(6, 'primitive');
const ipTag = contextTag(7, 'primitive');

// Underscores are not in the preferred syntax, but host names of containers contain them.
const dnsLabel = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/;
const uriGrammar = /^[A-Za-z][A-Za-z0-9+.-]*:/;

function isUri(text: string): boolean {
  return (
    text.length <= 255 && uriGrammar.test(text) && /^[\x21-\x7e]+$/.test(text) && URL.canParse(text)
  );
}

function checked(name: string, ok: boolean): string {
  if (ok) return name;
  throw new FlotillaError('subject-name-invalid', { detail: printable(name) });
}

function ipBytes(text: string): Buffer {
  const version = text.includes('%') ? 0 : isIP(text);
  if (version === 4) return Buffer.from(text.split('.').map(Number));
  if (version !== 6) throw new FlotillaError('subject-name-invalid', { detail: printable(text) });
  // An address that ends in dotted IPv4 ("::ffff:192.0.2.1") is converted to groups by URL.
  const [head = '', tail] = new URL(`http://[${text}]`).hostname.slice(1, -1).split('::');
  const groups = (part: string): string[] => (part === '' ? [] : part.split(':'));
  const before = groups(head);
  const after = groups(tail ?? '');
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0');
  const hex = [...before, ...zeros, ...after].map((group) => group.padStart(4, '0')).join('');
  return Buffer.from(hex, 'hex');
}

function ipText(bytes: Buffer): string {
  if (bytes.length === 4) return [...bytes].join('.');
  const groups = bytes.toString('hex').match(/.{4}/g) ?? [];
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}
