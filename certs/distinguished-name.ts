/**
 * Distinguished names (RFC 5280, 4.1.2.4): encoded with one common name, parsed strictly.
 *
 * @module
 */
import { FlotillaError } from '../core/errors/flotilla-error.ts';
import { isDeviceId } from '../core/device-id.ts';
import { printable } from '../core/escape.ts';
import { DerError, tags, type DerNode } from './der.ts';
import { oid, sequence, setOf, utf8String } from './der-encode.ts';
import { Fields, oidOf } from './der-fields.ts';
import { oids } from './oids.ts';

/** How many relative names a subject in a request may have. */
export const subjectPartsMax = 16;

/** RFC 5280, appendix A.1: ub-common-name. An identity alone may have more characters. */
export const commonNameMaxChars = 64;

/** Rejects an identity that cannot be a common name. @throws FlotillaError `device-id-too-long` */
export function assertFitsCommonName(id: string): void {
  if (id.length <= commonNameMaxChars) return;
  throw new FlotillaError('device-id-too-long', { detail: `${id.length} characters` });
}

/** The Name (DER) of one common name, as UTF8String. */
export function nameOf(commonName: string): Buffer {
  return sequence(setOf(sequence(oid(oids.commonName), utf8String(commonName))));
}

/**
 * Reads the subject of a request: single-valued parts, each a string that is valid for its type. There
 * is at most one common name, a device id as UTF8String or PrintableString. The other parts must be
 * well-formed and are ignored: the CA writes its own subject.
 *
 * @returns the common name, undefined if there is none
 * @throws FlotillaError `csr-name-invalid`
 * @throws DerError if it is not a Name
 */
export function subjectCommonName(node: DerNode): string | undefined {
  const names = new Fields(node, tags.sequence, 'subject');
  let commonName: string | undefined;
  let parts = 0;
  while (names.hasMore()) {
    parts += 1;
    if (parts > subjectPartsMax) throw invalid(`more than ${subjectPartsMax} parts`);
    const values = new Fields(names.next(tags.set), tags.set, 'relative name');
    const pair = new Fields(values.next(tags.sequence), tags.sequence, 'name attribute');
    const type = oidOf(pair.next(tags.oid));
    const value = pair.any();
    pair.end();
    if (values.hasMore()) throw invalid('a part with several values');
    const text = textOf(value);
    if (type !== oids.commonName) continue;
    if (commonName !== undefined) throw invalid('two common names');
    if (value.tag !== tags.utf8String && value.tag !== tags.printableString) {
      throw invalid('a common name that is neither UTF8String nor PrintableString');
    }
    if (!isDeviceId(text)) throw invalid(`the common name ${printable(text)} is not an identity`);
    commonName = text;
  }
  return commonName;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const printableGrammar = /^[A-Za-z0-9 '()+,\-./:=?]*$/;
// eslint-disable-next-line no-control-regex -- it searches for control characters
const controls = /[\u0000-\u001f\u007f-\u009f]/;

/** The text of a string in a name; string types with ambiguous contents are rejected. */
function textOf({ tag, content }: DerNode): string {
  let text: string;
  switch (tag) {
    case tags.utf8String:
      try {
        text = utf8.decode(content);
      } catch (error) {
        throw new DerError('a UTF8String that is not UTF-8', { cause: error });
      }
      break;
    case tags.printableString:
      text = content.toString('latin1');
      if (!printableGrammar.test(text)) throw new DerError('a bad PrintableString');
      break;
    case tags.ia5String:
      text = content.toString('latin1');
      if (/[^\x20-\x7e]/.test(text)) throw new DerError('a bad IA5String');
      break;
    default:
      throw invalid('a part of an outdated string type');
  }
  if (controls.test(text)) throw invalid('a control character');
  return text;
}

function invalid(detail: string): FlotillaError {
  return new FlotillaError('csr-name-invalid', { detail: `the subject has ${detail}` });
}
