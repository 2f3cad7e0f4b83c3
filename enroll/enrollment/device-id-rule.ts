/**
 * How the id of a device follows from its factory certificate: a text with fields of the certificate in braces,
 * for example `pump-{serialNumber}`. `{commonName:2}` is the second word of a field.
 *
 * @module
 */
import type { CertificateFacts } from '../../certs/certificate.ts';
import {
  certificateFieldNames,
  fieldValues,
  type CertificateField,
} from '../../certs/certificate-fields.ts';
import { DerError } from '../../certs/der.ts';
import { isDeviceId, type DeviceId } from '../../core/device-id.ts';
import { printable } from '../../core/escape.ts';

/** The rule of factories without one. */
export const defaultDeviceIdRule = '{commonName}';

const placeholder = /\{([A-Za-z]+)(?::([1-9]))?\}/g;

/** Why a text is not a rule, or undefined if it is one. */
export function ruleFault(rule: string): string | undefined {
  const found = [...rule.matchAll(placeholder)];
  if (found.length === 0) return 'the rule for device ids has no field, such as {serialNumber}';
  const unknown = found.find(([, name]) => !isField(name));
  if (unknown !== undefined) {
    return `${printable(unknown[0])} is not a field; use ${certificateFieldNames.join(', ')}`;
  }
  const rest = rule.replaceAll(placeholder, '');
  return /^[A-Za-z0-9._:-]*$/.test(rest)
    ? undefined
    : `${printable(rest)} cannot be part of a device id`;
}

export type MappedDevice =
  { readonly ok: true; readonly id: DeviceId } | { readonly ok: false; readonly fault: string };

/** The id that a rule makes of a certificate. Each field must have exactly one value. */
export function mappedDevice(rule: string, certificate: CertificateFacts): MappedDevice {
  let fault: string | undefined;
  const id = rule.replaceAll(placeholder, (text, name: string, word: string | undefined) => {
    const value = isField(name) ? valueOf(certificate, name) : { fault: `${name} is not a field` };
    if (typeof value !== 'string') {
      fault ??= value.fault;
      return '';
    }
    const part = word === undefined ? value : value.split(/\s+/)[Number(word) - 1];
    if (part === undefined || part === '') fault ??= `its ${text.slice(1, -1)} is empty`;
    return part ?? '';
  });
  if (fault !== undefined) return { ok: false, fault };
  if (isDeviceId(id)) return { ok: true, id };
  return {
    ok: false,
    fault: `${printable(id)} is not a device id; a rule can choose other fields or words`,
  };
}

function valueOf(
  certificate: CertificateFacts,
  field: CertificateField,
): string | { readonly fault: string } {
  try {
    const [value, ...more] = fieldValues(certificate, field);
    if (value === undefined) return { fault: `it has no ${field}` };
    return more.length === 0 ? value : { fault: `it has several values of ${field}` };
  } catch (error) {
    if (error instanceof DerError) return { fault: `its ${field}: ${error.message}` };
    throw error;
  }
}

function isField(name: string | undefined): name is CertificateField {
  return certificateFieldNames.some((field) => field === name);
}
