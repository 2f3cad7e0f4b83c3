/**
 * The list of devices that a factory may enroll: device ids, and serial numbers of factory certificates.
 *
 * @module
 */
import { serialNumberForm } from '../../certs/serial-number.ts';

/**
 * The list with each serial number also in the form that certificates are compared in: lower-case
 * hexadecimal, an even number of digits, without leading zero octets. An entry stays as it is beside that form,
 * because it may be a device id.
 */
export function withSerialForms(entries: readonly string[]): string[] {
  const forms = new Set<string>();
  for (const entry of entries) {
    forms.add(entry);
    const serial = serialNumberForm(entry);
    if (serial !== undefined) forms.add(serial);
  }
  return [...forms];
}
