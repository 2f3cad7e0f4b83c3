/**
 * The subject of a certificate for people, in the form of RFC 4514: `CN=pump-7,O=Works`, the last relative name first.
 *
 * @param x509 as node:crypto reads it: one relative name per line, special characters in values are escaped
 */
export function subjectText({ subject }: { readonly subject: string | undefined }): string {
  const names = (subject ?? '').split('\n').reverse();
  return names.map((name) => name.replaceAll(' + ', '+')).join(',');
}
