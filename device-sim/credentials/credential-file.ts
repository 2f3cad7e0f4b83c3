/**
 * Keys and certificates of a fleet in one file: a line of JSON for each device, mode 0600, so that a
 * second run starts at once.
 *
 * @module
 */
import { z } from 'zod';
import type { Credential } from '../device/credential.ts';

const credentialSchema = z.strictObject({
  id: z.string(),
  key: z.string(),
  chain: z.string(),
  serial: z.string(),
  notAfterMs: z.int(),
  keyFingerprint: z.string(),
});

/** Reads one line; undefined when it is none of ours. */
export function credentialLine(line: string): Credential | undefined {
  try {
    const result = credentialSchema.safeParse(JSON.parse(line));
    return result.success ? result.data : undefined;
  } catch {
    return undefined;
  }
}
