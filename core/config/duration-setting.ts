/** A setting that is a duration. @module */
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
