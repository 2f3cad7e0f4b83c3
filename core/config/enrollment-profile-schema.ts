/** The settings of an enrollment profile. @module */
import { z } from 'zod';
import { deviceRoleSchema } from '../protocol/policy-role.ts';
import { serverNamesSchema } from './server-name-settings.ts';
import { durationSetting } from './setting-types.ts';

/** The key types that certificates are issued for. */
export const deviceKeyTypes = ['p256', 'p384', 'ed25519', 'rsa2048', 'rsa3072', 'rsa4096'] as const;

/** How certificates of one kind of device are issued. */
export const enrollmentProfileSchema = z.strictObject({
  validity: durationSetting({
    defaultValue: '365d',
    min: '1s',
    description: 'Validity of a certificate.',
  }).optional(),
  keyTypes: z
    .array(z.enum(deviceKeyTypes))
    .min(1)
    .default([...deviceKeyTypes])
    .describe('The key types that are accepted.'),
  renewalPart: z
    .number()
    .gt(0)
    .max(1)
    .default(1)
    .describe(
      'The last part of its lifetime in which a certificate may be renewed; 1 means at any time.',
    ),
  keyReuse: z
    .boolean()
    .default(true)
    .describe('Whether a renewal may keep the key; otherwise each renewal needs a new key.'),
  overlap: z
    .enum(['until-seen', 'until-end'])
    .default('until-seen')
    .describe(
      'How long the old certificate remains valid after a renewal: until the new one has connected, or until its end.',
    ),
  group: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .describe('The group of devices enrolled with this profile.'),
  role: deviceRoleSchema
    .optional()
    .describe('The role in the policy of devices enrolled with this profile (default: device).'),
  attributes: z
    .record(z.string().min(1).max(64), z.string().max(256))
    .default({})
    .describe('The attributes of devices enrolled with this profile.'),
  serverNames: serverNamesSchema
    .optional()
    .describe(
      'Names that a device may request, so that it can also be a server (OPC UA, HTTPS) for programs that trust the issuer of such devices.',
    ),
});
