/**
 * Settings of brokers that are active at the same time.
 *
 * @module
 */
import { z } from 'zod';
import { host, portSetting } from './setting-types.ts';

/** Each partition has a thread, and a link to each other one. */
const partitionsMax = 32;

export const clusterSettingsSchema = z.strictObject({
  partitions: z
    .int()
    .min(1)
    .max(partitionsMax)
    .optional()
    .describe(
      'Into how many partitions the identities are divided, so that as many brokers can be active at the same time (docs/cluster.md). It needs broker.database, is the same for all brokers, and cannot be changed later. By default one broker is active, and the others wait.',
    ),
  host: host('The address that the other brokers of the cluster connect to.'),
  port: portSetting(8885, 'The port for the other brokers of the cluster.'),
  address: z
    .string()
    .max(260)
    .regex(/^(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$/, 'Expected host:port')
    .optional()
    .describe(
      'Where the other brokers find this one, as host:port. By default cluster.host and cluster.port.',
    ),
});
