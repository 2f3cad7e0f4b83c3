/**
 * The list of devices that a factory may enroll: device ids, and serial numbers of factory certificates.
 *
 * @module
 */

/**
 * The list with each serial number also in the form that certificates are compared in: lower-case
 * hexadecimal, an even number of digits, without leading zero octets. Tools print serial numbers in upper
 * case, with colons, or with a leading `0x` or `00`. An entry stays as it is beside that form, because it may
 * be a device id.
 */
export function withSerialForms(entries: readonly string[]): string[] {
  const forms = new Set<string>();
  for (const entry of entries) {
    forms.add(entry);
    const serial = serialForm(entry);
    if (serial !== undefined) forms.add(serial);
  }
  return [...forms];
}

/** The serial number that an entry can be read as; undefined if it is no hexadecimal number. */
function serialForm(entry: string): string | undefined {
  const text = entry.trim().toLowerCase();
  const digits = (text.startsWith('0x') ? text.slice(2) : text).replaceAll(':', '');
  if (!/^[0-9a-f]{1,128}$/.test(digits)) return undefined;
  const even = digits.length % 2 === 0 ? digits : `0${digits}`;
  let start = 0;
  while (start < even.length - 2 && even.startsWith('00', start)) start += 2;
  return even.slice(start);
}
