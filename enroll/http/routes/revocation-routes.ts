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
import type { RevocationList, SignedList } from '../../revocation/revocation-list.ts';
import type { RawResponse, RawRoute } from '../raw-route.ts';

export interface RevocationRouteDeps {
  readonly ca: CertificateAuthority;
  readonly clock: Clock;
  readonly lists: RevocationList;
  readonly ocsp: OcspService;
}

/**
 * - `/crl`: the CRL of the current issuer.
 * - `/crl/{ca}`, `/crl/{ca}.pem`: the CRL of one CA, by its fingerprint, or the first 16 or more digits of it; `root`
 *   is the root.
 * - `/crl/all.pem`, `/crl.pem`: the CRLs of the whole chain, the current issuer's first. Software that checks each
 *   certificate of a chain needs all of them.
 * - `/ocsp`
 */
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
    ...['/crl.pem', '/crl/all.pem'].map((path): RawRoute => ({
      method: 'GET',
      path,
      access: 'anyone',
      handle: () => bundle(deps),
    })),
    {
      method: 'GET',
      path: '/crl/:ca',
      access: 'anyone',
      handle({ params: { ca: name = '' } }) {
        const [digits = '', suffix] = name.split('.');
        const fingerprint = fingerprintNamed(ca, digits.replace(/^sha256:/, ''));
        if (fingerprint === undefined || (suffix !== undefined && suffix !== 'pem')) {
          throw new FlotillaError('issuer-not-found', { detail: name.slice(0, 80) });
        }
        return list(deps, fingerprint, suffix ?? 'der');
      },
    },
    {
      method: 'POST',
      path: '/ocsp',
      access: 'anyone',
      accepts: { mediaTypes: ['application/ocsp-request'], as: 'buffer' },
      bodyMaxBytes: ocspRequestMaxBytes,
      handle: async ({ body, remoteAddress }) =>
        ocspResponse(
          Buffer.isBuffer(body)
            ? await ocsp.answer(body, remoteAddress)
            : ocspFailure('malformedRequest'),
        ),
    },
    {
      method: 'GET',
      path: '/ocsp/*',
      access: 'anyone',
      // The path as it was sent: decoding, as the router does it, may change a "+" or a "/".
      handle: async ({ url, remoteAddress }) =>
        ocspResponse(
          await ocsp.answer(ocspRequestOfPath(url.slice('/ocsp/'.length)), remoteAddress),
        ),
    },
  ];
}

/** The CA whose fingerprint begins with these digits. */
function fingerprintNamed(ca: CertificateAuthority, digits: string): string | undefined {
  if (digits === 'root') return ca.root.fingerprint;
  if (digits.length < 16) return undefined;
  const fingerprints = [...ca.inventory.roots, ...ca.issuers.map(({ certificate }) => certificate)];
  return fingerprints.find(({ fingerprint }) => fingerprint.startsWith(`sha256:${digits}`))
    ?.fingerprint;
}

async function list(
  { lists, clock }: RevocationRouteDeps,
  fingerprint: string,
  form: 'der' | 'pem',
): Promise<RawResponse> {
  const found = await lists.of(fingerprint);
  if (found === undefined) throw new FlotillaError('issuer-not-found');
  if (form === 'pem') return pemResponse([found], clock);
  return {
    type: 'application/pkix-crl',
    headers: {
      'cache-control': cacheControl([found], clock),
      'content-length': String(bytesOf(found.der)),
    },
    body: Readable.from(oneEachTurn(found.der)),
  };
}

async function bundle({ lists, clock }: RevocationRouteDeps): Promise<RawResponse> {
  return pemResponse(await lists.all(), clock);
}

function pemResponse(lists: readonly SignedList[], clock: Clock): RawResponse {
  return {
    type: 'application/x-pem-file',
    headers: { 'cache-control': cacheControl(lists, clock) },
    body: Readable.from(oneEachTurn(pemsOf(lists))),
  };
}

function* pemsOf(lists: readonly SignedList[]): Generator<string> {
  for (const { der } of lists) yield* pemPieces('X509 CRL', der);
}

function cacheControl(lists: readonly SignedList[], clock: Clock): string {
  const endMs = Math.min(...lists.map(({ nextUpdateMs }) => nextUpdateMs));
  const leftSeconds = Math.floor((endMs - clock.now()) / 1000);
  return `max-age=${Math.max(0, Math.min(300, leftSeconds))}`;
}

/** A fast client would otherwise have the whole list encoded and encrypted in one turn of the event loop. */
async function* oneEachTurn<T>(pieces: Iterable<T>): AsyncGenerator<T> {
  for (const piece of pieces) {
    yield piece;
    await nextTurn();
  }
}
