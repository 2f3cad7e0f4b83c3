/** Serial numbers of certificates, as people and tools write them. @module */

/**
 * The form in which serial numbers are compared: lower-case hexadecimal, an even number of digits, without
 * leading zero octets. Tools print serial numbers in upper case, with colons, or with a leading `0x`,
 * `serial=` or `00`.
 *
 * @returns undefined if the text is not a hexadecimal number of at most 64 octets
 */
export function serialNumberForm(text: string): string | undefined {
  const number = text
    .trim()
    .toLowerCase()
    .replace(/^serial=/, '')
    .replace(/^0x/, '');
  // Colons separate octets: anything else with colons is an address or a name.
  if (number.includes(':') && !/^[0-9a-f]{1,2}(?::[0-9a-f]{2})+$/.test(number)) return undefined;
  const digits = number.replaceAll(':', '');
  if (!/^[0-9a-f]{1,128}$/.test(digits)) return undefined;
  const even = digits.length % 2 === 0 ? digits : `0${digits}`;
  let start = 0;
  while (start < even.length - 2 && even.startsWith('00', start)) start += 2;
  return even.slice(start);
}
