/**
 * CRL and OCSP over HTTP.
 *
 * @module
 */
import { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { bytesOf } from '../../../certs/crl.ts';
import { ocspFailure, ocspRequestMaxBytes, ocspRequestOfPath } from '../../../certs/ocsp.ts';
import { pemPieces } from '../../../certs/pem.ts';
import type { Clock } from '../../../core/clock.ts';
import { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import type { CertificateAuthority } from '../../ca/certificate-authority.ts';
import type { OcspService } from '../../revocation/ocsp-responder.ts';
import type { RevocationList } from '../../revocation/revocation-list.ts';
import type { RawResponse, RawRoute } from '../raw-route.ts';

export interface RevocationRouteDeps {
  readonly ca: CertificateAuthority;
  readonly clock: Clock;
  readonly lists: RevocationList;
  readonly ocsp: OcspService;
}

/** `/crl`, `/crl.pem`: of the current issuer. `/crl/{issuer}`, `/crl/{issuer}.pem`: of each. `/ocsp`. */
export function revocationRoutes(deps: RevocationRouteDeps): RawRoute[] {
  const { ca, ocsp } = deps;
  const current = (): string => ca.current.certificate.fingerprint;
  const ocspResponse = (der: Buffer): RawResponse => ({
    type: 'application/ocsp-response',
    body: der,
  });
  return [
    {
      method: 'GET',
      path: '/crl',
      access: 'anyone',
      handle: () => list(deps, current(), 'der'),
    },
    {
      method: 'GET',
      path: '/crl.pem',
      access: 'anyone',
      handle: () => list(deps, current(), 'pem'),
    },
    {
      method: 'GET',
      path: '/crl/:issuer',
      access: 'anyone',
      handle({ params: { issuer: name = '' } }) {
        const [digits = '', suffix] = name.split('.');
        const issuer = ca.issuers.find(({ certificate }) =>
          certificate.fingerprint.startsWith(`sha256:${digits}`),
        );
        const isName = digits.length >= 16 && (suffix === undefined || suffix === 'pem');
        if (issuer === undefined || !isName) {
          throw new FlotillaError('issuer-not-found', { detail: name.slice(0, 80) });
        }
        return list(deps, issuer.certificate.fingerprint, suffix ?? 'der');
      },
    },
    {
      method: 'POST',
      path: '/ocsp',
      access: 'anyone',
      accepts: { mediaTypes: ['application/ocsp-request'], as: 'buffer' },
      bodyMaxBytes: ocspRequestMaxBytes,
      handle: async ({ body }) =>
        ocspResponse(
          Buffer.isBuffer(body) ? await ocsp.answer(body) : ocspFailure('malformedRequest'),
        ),
    },
    {
      method: 'GET',
      path: '/ocsp/*',
      access: 'anyone',
      // The path as it was sent: decoding, as the router does it, may change a "+" or a "/".
      handle: async ({ url }) =>
        ocspResponse(await ocsp.answer(ocspRequestOfPath(url.slice('/ocsp/'.length)))),
    },
  ];
}

async function list(
  { lists, clock }: RevocationRouteDeps,
  issuer: string,
  form: 'der' | 'pem',
): Promise<RawResponse> {
  const found = await lists.of(issuer);
  if (found === undefined) throw new FlotillaError('issuer-not-found');
  const leftSeconds = Math.floor((found.nextUpdateMs - clock.now()) / 1000);
  const cacheControl = `max-age=${Math.max(0, Math.min(300, leftSeconds))}`;
  const { der } = found;
  return form === 'pem'
    ? {
        type: 'application/x-pem-file',
        headers: { 'cache-control': cacheControl },
        body: Readable.from(oneEachTurn(pemPieces('X509 CRL', der))),
      }
    : {
        type: 'application/pkix-crl',
        headers: { 'cache-control': cacheControl, 'content-length': String(bytesOf(der)) },
        body: Readable.from(oneEachTurn(der)),
      };
}

/** A fast client would otherwise have the whole list encoded and encrypted in one turn of the event loop. */
async function* oneEachTurn<T>(pieces: Iterable<T>): AsyncGenerator<T> {
  for (const piece of pieces) {
    yield piece;
    await nextTurn();
  }
}
