/**
 * Where an identity was enrolled: the file `enrollment.json` of its folder.
 *
 * @module
 */
import { z } from 'zod';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';

const originSchema = z.object({
  id: z.string().optional(),
  /** The enrollment service. */
  url: z.string().optional(),
  /** The fingerprint of the root. */
  fingerprint: z.string().optional(),
  /** `host:port` of the broker. */
  mqtts: z.string().optional(),
});
export type EnrollmentOrigin = z.infer<typeof originSchema>;

/** Reads the content of the file; empty when there is none or it is damaged. */
export function readOrigin(text: string | undefined): EnrollmentOrigin {
  try {
    return originSchema.parse(JSON.parse(text ?? '{}'));
  } catch {
    return {};
  }
}

/** The content of the file. */
export function originText(origin: EnrollmentOrigin): string {
  return `${JSON.stringify(origin, null, 2)}\n`;
}

/** The URL of the service. @throws FlotillaError `usage` when neither the option nor the file has it */
export function serviceUrl(option: string | undefined, origin: EnrollmentOrigin): string {
  const url = option ?? origin.url;
  if (url === undefined)
    throw new FlotillaError('usage', { detail: 'specify the service with --url' });
  return url;
}
