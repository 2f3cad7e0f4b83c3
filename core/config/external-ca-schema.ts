/**
 * Settings of an external CA that signs the certificates of devices.
 *
 * @module
 */
import { z } from 'zod';
import { durationSetting } from './setting-types.ts';

const file = z.string().min(1).optional();

export const externalCaSchema = z
  .strictObject({
    url: z
      .url({ protocol: /^https$/ })
      .describe(
        'The address of the EST interface of the CA, for example https://ca.example.com/.well-known/est/devices. /simpleenroll is added to it.',
      ),
    caFile: file.describe(
      'PEM file with the CAs that are trusted for the server of the CA (default: the system store).',
    ),
    certificateFile: file.describe(
      'PEM file with the certificate (chain) that this service shows to the CA.',
    ),
    keyFile: file.describe(
      'PEM file with the key of that certificate, readable by its owner only.',
    ),
    credentialsFile: file.describe(
      'The file with user:password for HTTP Basic authentication at the CA, readable by its owner only.',
    ),
    timeout: durationSetting({
      defaultValue: '10s',
      min: '10ms',
      description: 'How long to wait for the CA.',
    }),
    requestsMax: z
      .int()
      .min(1)
      .max(1024)
      .default(16)
      .describe(
        'How many requests wait for the CA at the same time; more of them get external-ca-unavailable.',
      ),
  })
  .refine(
    ({ certificateFile, keyFile }) => (certificateFile === undefined) === (keyFile === undefined),
    'certificateFile and keyFile belong together',
  )
  .optional()
  .describe(
    'An external CA that signs the certificates of devices over EST. Its issuer is imported with flotilla issuer import --external.',
  );
