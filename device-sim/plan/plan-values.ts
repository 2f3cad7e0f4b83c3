/**
 * The values that plans are made of: durations, rates, topics, names.
 *
 * @module
 */
import { z } from 'zod';
import { parseDuration } from '../../core/config/duration.ts';
import { messageOf } from '../../core/errors/flotilla-error.ts';

/** The most devices of one plan. */
export const devicesMax = 1_000_000;

export const duration = z
  .string()
  .regex(/^\d{1,12}(ms|s|m|h|d)$/, 'not a duration: write a number and a unit, like 30s or 5m')
  .transform((text, context) => {
    try {
      return parseDuration(text);
    } catch (error) {
      context.addIssue({ code: 'custom', message: messageOf(error) });
      return z.NEVER;
    }
  })
  .describe('A duration: a number and ms, s, m, h or d');

export const rate = z
  .union([
    z.number().positive().max(1_000_000),
    z
      .string()
      .regex(
        /^\d{1,7}(\.\d{1,6})?\/(\d{0,6})(s|m|h)$/,
        'not a rate: write 5/s, 1/10s, 30/m or a number per second',
      ),
  ])
  .transform((value, context) => {
    const perSecond = typeof value === 'number' ? value : ratePerSecond(value);
    if (perSecond > 0 && Number.isFinite(perSecond)) return perSecond;
    context.addIssue({ code: 'custom', message: 'a rate must be more than 0' });
    return z.NEVER;
  })
  .describe('A rate: 5/s, 1/10s, 30/m, or a number per second');

export const qos = z.literal([0, 1, 2]);
export const share = z.number().min(0).max(1);
export const topicText = z.string().min(1).max(1024);

export const hostPortText = z
  .string()
  .regex(/^(?:\[[0-9A-Fa-f:.]+\]|[^:[\]/\s,]{1,255}):\d{1,5}$/, 'not an address: write host:port');

export const plainName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'a name of letters, digits, dot, underscore, hyphen');

function ratePerSecond(text: string): number {
  const [, count, every, unit] = /^([\d.]+)\/(\d*)(s|m|h)$/.exec(text) ?? [];
  const unitSeconds = unit === 'h' ? 3600 : unit === 'm' ? 60 : 1;
  return Number(count) / (Number(every === '' ? 1 : every) * unitSeconds);
}
