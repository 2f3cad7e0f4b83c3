/**
 * Names the option of a command in an error of the API, which knows only the field of its request.
 *
 * @module
 */
import type { Option } from 'commander';
import { FlotillaError, isFlotillaError } from '../../core/errors/flotilla-error.ts';

/**
 * The error with `--ttl` in place of `body.ttlSeconds`, if the command has such an option; else the same error.
 */
export function withOptionName(
  error: unknown,
  options: readonly Pick<Option, 'long' | 'attributeName'>[],
): unknown {
  if (!isFlotillaError(error, 'request-invalid') || error.detail === undefined) return error;
  const [place, field] = /^(?:body|query)\.(\w+)/.exec(error.detail) ?? [];
  if (place === undefined || field === undefined) return error;
  // The API has durations in seconds, the command with their unit.
  const name = field.replace(/Seconds$/, '');
  const option = options.find((one) => one.attributeName() === name);
  if (typeof option?.long !== 'string') return error;
  const unit = name === field ? '' : ' (in seconds)';
  return new FlotillaError('option-refused', {
    detail: `${option.long}${unit}${error.detail.slice(place.length)}`,
    cause: error.cause,
  });
}
