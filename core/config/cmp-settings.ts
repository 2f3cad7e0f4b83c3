/** How devices may use CMP. @module */
import { z } from 'zod';

export const cmpSettingsSchema = z
  .strictObject({
    enabled: z
      .boolean()
      .default(true)
      .describe('Whether the service speaks CMP (RFC 9483) at /.well-known/cmp.'),
    revocation: z
      .boolean()
      .default(false)
      .describe(
        'Whether a device may revoke itself over CMP, with its own certificate. It then needs a new token.',
      ),
  })
  .prefault({});
