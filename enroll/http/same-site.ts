/**
 * Requests of a browser that come from a page of another site.
 *
 * @module
 */
import type { FastifyRequest } from 'fastify';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';

/**
 * A browser sends its client certificate with requests of any page. One that changes something must not come
 * from a page of another site.
 *
 * @throws FlotillaError `request-origin-refused`
 */
export function assertSameSite({ method, headers }: FastifyRequest): void {
  if (method === 'GET' || method === 'HEAD') return;
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') {
    throw new FlotillaError('request-origin-refused', { detail: 'Sec-Fetch-Site' });
  }
  if (headers.origin !== undefined && headers.origin !== `https://${headers.host ?? ''}`) {
    throw new FlotillaError('request-origin-refused', { detail: 'Origin' });
  }
}
