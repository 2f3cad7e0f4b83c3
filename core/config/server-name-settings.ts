/** The settings of names in certificates of devices that are also servers. @module */
import { z } from 'zod';
import { isIpNetwork } from '../ip-networks.ts';

/** How many patterns of each kind a profile may have. */
const patternsMax = 64;

const dnsPattern = /^(?:[a-z0-9_.-]|\{id\}|\*)+$/;
const uriPattern = /^[A-Za-z][A-Za-z0-9+.-]*:(?:[!-)+-z|~]|\{id\}|\*)+$/;

/** An IP address, or a network as address and number of bits. */
export const ipNetworkSchema = z
  .string()
  .min(1)
  .max(64)
  .refine((text) => isIpNetwork(text), 'Expected an address or a network like 10.0.0.0/8');

function patterns(grammar: RegExp, example: string): z.ZodArray<z.ZodString> {
  return z
    .array(
      z
        .string()
        .max(253)
        .regex(grammar, `Expected a name like ${example}`)
        .refine((text) => text.split('*').length <= 2, 'Expected at most one *'),
    )
    .max(patternsMax);
}

/** Names that a device may request, so that it can be a server with this certificate. */
export const serverNamesSchema = z.strictObject({
  dns: patterns(dnsPattern, '{id}.plant.example')
    .default([])
    .describe(
      'DNS names. `{id}` stands for the device id, one `*` for one or more characters without a dot.',
    ),
  ip: z
    .array(ipNetworkSchema)
    .max(patternsMax)
    .default([])
    .describe('Addresses and networks of the devices.'),
  uri: patterns(uriPattern, 'urn:plant.example:{id}')
    .default([])
    .describe('URIs. `{id}` stands for the device id, one `*` for one or more characters.'),
});
