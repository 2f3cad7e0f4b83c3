/**
 * The file that stores keys and certificates of a fleet (mode 0600), one line of JSON per device, so
 * that the next run starts without enrollment.
 *
 * @module
 */
import { z } from 'zod';
import type { DeviceCredential } from '../device/credential.ts';

const credentialSchema = z.strictObject({
  id: z.string(),
  key: z.string(),
  chain: z.string(),
  serial: z.string(),
  notAfterMs: z.int(),
  keyFingerprint: z.string(),
});

/** Parses one line; undefined when it is not a credential. */
export function credentialLine(line: string): DeviceCredential | undefined {
  try {
    const result = credentialSchema.safeParse(JSON.parse(line));
    return result.success ? result.data : undefined;
  } catch {
    return undefined;
  }
}
