/** When devices should renew their certificates. The service names the time to each device. @module */
import { z } from 'zod';
import { durationSetting } from './setting-types.ts';

export const renewalSettingsSchema = z
  .strictObject({
    part: z
      .number()
      .min(0.1)
      .max(0.9)
      .default(0.6667)
      .describe('The part of its lifetime after which a certificate should be renewed.'),
    spread: z
      .number()
      .min(0)
      .max(0.1)
      .default(0.05)
      .describe(
        'How far the time of single certificates differs from it, as a part of the lifetime, so that devices that were enrolled together do not renew together.',
      ),
    issuerEnding: durationSetting({
      defaultValue: '90d',
      min: '0ms',
      description:
        'How long before the end of a former issuer its certificates should be renewed, whatever their lifetime; spread over the first half of this time.',
    }),
    checkInterval: durationSetting({
      defaultValue: '6h',
      min: '1m',
      description: 'How often devices should ask for the time: the Retry-After of the response.',
    }),
  })
  .prefault({});
