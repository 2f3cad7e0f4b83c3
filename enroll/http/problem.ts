/**
 * Creates problem documents (RFC 9457) from anything that was thrown.
 *
 * @module
 */
import type { Problem } from '../../core/protocol/enrollment-api.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';

export const problemMediaType = 'application/problem+json';

/** The problem document of an error. */
export function problemResponse(error: FlotillaError, instance?: string): Problem {
  const { title, advice, http = 500 } = error.spec;
  return {
    type: `urn:flotilla:error:${error.code}`,
    title,
    status: http,
    ...(error.detail === undefined ? {} : { detail: error.detail }),
    ...(instance === undefined ? {} : { instance }),
    code: error.code,
    advice,
  };
}

/** The framework's own error codes, and the codes of the catalogue that they become. */
const frameworkCodes: Readonly<Record<string, ConstructorParameters<typeof FlotillaError>[0]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'request-too-large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'media-type-unsupported',
  // A path parameter is longer than any name.
  FST_ERR_MAX_PARAM_LENGTH: 'not-found',
};

/** Converts anything into an error of the catalogue; unknown errors become `internal`. */
export function catalogued(error: unknown): FlotillaError {
  if (error instanceof FlotillaError) return error;
  const { code, statusCode, message } = partsOf(error);
  const known = frameworkCodes[code];
  if (known !== undefined) return new FlotillaError(known, { cause: error });
  if (statusCode >= 400 && statusCode < 500) {
    return new FlotillaError('request-invalid', { detail: message.slice(0, 200), cause: error });
  }
  return new FlotillaError('internal', { cause: error });
}

function partsOf(error: unknown): { code: string; statusCode: number; message: string } {
  if (!(error instanceof Error)) return { code: '', statusCode: 0, message: '' };
  return {
    code: 'code' in error ? String(error.code) : '',
    statusCode: 'statusCode' in error ? Number(error.statusCode) : 0,
    message: error.message,
  };
}
