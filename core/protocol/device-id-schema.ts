/**
 * The schema of a device id, shared by every message and file that contains one.
 *
 * @module
 */
import { z } from 'zod';
import { isDeviceId, type DeviceId } from '../device-id.ts';

export const deviceIdSchema = z.custom<DeviceId>(
  (value) => typeof value === 'string' && isDeviceId(value),
  { error: 'not a device id' },
);
