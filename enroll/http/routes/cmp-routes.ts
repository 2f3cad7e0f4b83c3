/**
 * CMP over HTTPS (RFC 9811): `/.well-known/cmp`, or with an enrollment profile `/.well-known/cmp/p/{profile}`. Requests and
 * responses are PKIMessages. A refusal is a PKIMessage as well, with status 200; what is no PKIMessage gets a problem
 * document.
 *
 * @module
 */
import { cmpMessageMaxBytes } from '../../../certs/cmp-message.ts';
import { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import { CmpService, type CmpServiceDeps } from '../../cmp/cmp-service.ts';
import type { RawRequest, RawResponse, RawRoute } from '../raw-route.ts';

const mediaType = 'application/pkixcmp';
const cmpPath = '/.well-known/cmp';

export function cmpRoutes(deps: CmpServiceDeps): RawRoute[] {
  if (!deps.config.enroll.cmp.enabled) return [];
  const service = new CmpService(deps);
  const handle = async (request: RawRequest): Promise<RawResponse> => {
    const { body, params, remoteAddress, note } = request;
    if (!Buffer.isBuffer(body)) {
      throw new FlotillaError('media-type-unsupported', { detail: `expected ${mediaType}` });
    }
    const profile = params['label'];
    const answer = await service.answer({ body, profile, remoteAddress, note });
    return { type: mediaType, headers: { 'cache-control': 'no-store' }, body: answer };
  };
  return [cmpPath, `${cmpPath}/p/:label`].map((path) => ({
    method: 'POST',
    path,
    access: 'anyone',
    accepts: { mediaTypes: [mediaType], as: 'buffer' },
    bodyMaxBytes: cmpMessageMaxBytes,
    handle,
  }));
}
