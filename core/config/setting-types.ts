/**
 * The types of values that several settings have.
 *
 * @module
 */
import { z } from 'zod';
import { messageOf } from '../errors/flotilla-error.ts';
import { formatDuration, parseDuration } from './duration.ts';

type Duration = z.ZodPrefault<z.ZodPipe<z.ZodString, z.ZodTransform<number, string>>>;

interface DurationSetting {
  readonly defaultValue: string;
  readonly min: string;
  readonly description: string;
}

/** A duration, written like `90d` and parsed into milliseconds. */
export const durationSetting = ({ defaultValue, min, description }: DurationSetting): Duration =>
  z
    .string()
    .transform((text, context) => {
      try {
        const ms = parseDuration(text);
        if (ms >= parseDuration(min)) return ms;
        context.addIssue({ code: 'custom', message: `Too short: expected ${min} or longer` });
      } catch (error) {
        context.addIssue({ code: 'custom', message: messageOf(error) });
      }
      return z.NEVER;
    })
    .prefault(defaultValue)
    .meta({ description, durationMin: formatDuration(parseDuration(min)) });

/** A TCP port; 0 means any free one. */
export const portSetting = (defaultValue: number, description: string): z.ZodDefault<z.ZodInt> =>
  z
    .int()
    .min(0)
    .max(65_535)
    .default(defaultValue)
    .describe(`${description} 0 means any free port.`);

/** An address or the name of a host (default: loopback). */
export const host = (description: string): z.ZodDefault<z.ZodString> =>
  z
    .string()
    .max(253)
    .regex(/^[A-Za-z0-9._:%-]+$/, 'Expected an address or the name of a host')
    .default('127.0.0.1')
    .describe(description);

/** An `http:` URL that may be absent. */
export const plainUrl = (description: string): z.ZodOptional<z.ZodURL> =>
  z
    .url({ protocol: /^http$/ })
    .optional()
    .describe(description);

/** The origin of a web page, as browsers write it: without a path, and without the usual port of the scheme. */
export const webOrigin = z
  .string()
  .max(300)
  .refine(
    (text) => /^https?:/.test(text) && URL.parse(text)?.origin === text,
    'Expected the origin of a web page like https://dashboard.example.com or http://localhost:3000, without a path',
  );
