/**
 * The addresses in certificates at which clients find out whether they were revoked.
 *
 * @module
 */
import { contextTag } from './der.ts';
import { element, oid, sequence } from './der-encode.ts';
import { extension } from './extensions.ts';
import { oids } from './oids.ts';

/** URLs in issued certificates. Only http: a client must not need this PKI to fetch them. */
export interface AuthorityUrls {
  readonly crl?: string;
  readonly ocsp?: string;
  readonly caIssuers?: string;
}

/** CRL distribution point and authority information access (RFC 5280, 4.2.1.13 and 4.2.2.1). */
export function authorityPoints({ crl, ocsp, caIssuers }: AuthorityUrls): Buffer[] {
  const uri = (url: string): Buffer =>
    element(contextTag(6, 'primitive'), Buffer.from(new URL(url).href, 'latin1'));
  const extensions: Buffer[] = [];
  if (crl !== undefined) {
    const point = sequence(element(contextTag(0), element(contextTag(0), uri(crl))));
    extensions.push(extension(oids.crlDistributionPoints, sequence(point)));
  }
  const access = [
    ...(ocsp === undefined ? [] : [sequence(oid(oids.adOcsp), uri(ocsp))]),
    ...(caIssuers === undefined ? [] : [sequence(oid(oids.adCaIssuers), uri(caIssuers))]),
  ];
  if (access.length > 0) extensions.push(extension(oids.authorityInfoAccess, sequence(...access)));
  return extensions;
}
