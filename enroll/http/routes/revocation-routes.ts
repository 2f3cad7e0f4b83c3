/**
 * CRL and OCSP over HTTP.
 *
 * @module
 */
import { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { bytesOf } from '../../../certs/crl.ts';
import { ocspFailure, ocspRequestMaxBytes, ocspRequestOfPath } from '../../../certs/ocsp.ts';
import { pemPieces } from '../../../certs/pem.ts';
import type { Clock } from '../../../core/clock.ts';
import { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import type { CertificateAuthority } from '../../ca/certificate-authority.ts';
import type { OcspService } from '../../revocation/ocsp-responder.ts';
import type { RevocationList } from '../../revocation/revocation-list.ts';
import type { HttpServer } from '../server.ts';

export interface RevocationRouteDeps {
  readonly ca: CertificateAuthority;
  readonly clock: Clock;
  readonly lists: RevocationList;
  readonly ocsp: OcspService;
}

/** A socket that takes all at once would have all of it made and encrypted at once. */
async function* inTurns<T>(pieces: Iterable<T>): AsyncGenerator<T> {
  for (const piece of pieces) {
    yield piece;
    await nextTurn();
  }
}

/** `/crl`, `/crl.pem`: of the current issuer. `/crl/{issuer}`, `/crl/{issuer}.pem`: of each. */
export function serveRevocation(http: HttpServer, deps: RevocationRouteDeps): void {
  const { app } = http;
  const list = async (
    request: FastifyRequest,
    reply: FastifyReply,
    issuer: string,
    pem: boolean,
  ): Promise<FastifyReply> => {
    http.assertRate(request);
    const found = await deps.lists.of(issuer);
    if (found === undefined) throw new FlotillaError('issuer-not-found');
    const leftSeconds = Math.floor((found.nextUpdateMs - deps.clock.now()) / 1000);
    void reply.header('cache-control', `max-age=${Math.max(0, Math.min(300, leftSeconds))}`);
    const { der } = found;
    return pem
      ? reply
          .type('application/x-pem-file')
          .send(Readable.from(inTurns(pemPieces('X509 CRL', der))))
      : reply
          .type('application/pkix-crl')
          .header('content-length', bytesOf(der))
          .send(Readable.from(inTurns(der)));
  };
  const current = (): string => deps.ca.current.certificate.fingerprint;
  app.get('/crl', (request, reply) => list(request, reply, current(), false));
  app.get('/crl.pem', (request, reply) => list(request, reply, current(), true));
  app.get<{ Params: { issuer: string } }>('/crl/:issuer', (request, reply) => {
    const [digits = '', suffix] = request.params.issuer.split('.');
    const issuer = deps.ca.issuers.find(({ certificate }) =>
      certificate.fingerprint.startsWith(`sha256:${digits}`),
    );
    if (issuer === undefined || digits.length < 16 || (suffix !== undefined && suffix !== 'pem')) {
      throw new FlotillaError('issuer-not-found', { detail: request.params.issuer.slice(0, 80) });
    }
    return list(request, reply, issuer.certificate.fingerprint, suffix === 'pem');
  });

  app.addContentTypeParser(
    'application/ocsp-request',
    { parseAs: 'buffer' },
    (_request, body, done: (error: Error | null, value?: unknown) => void) => done(null, body),
  );
  const ocsp = async (
    request: FastifyRequest,
    reply: FastifyReply,
    body: unknown,
  ): Promise<FastifyReply> => {
    http.assertRate(request);
    const answer = Buffer.isBuffer(body)
      ? await deps.ocsp.answer(body)
      : ocspFailure('malformedRequest');
    return reply.type('application/ocsp-response').send(answer);
  };
  app.post('/ocsp', { bodyLimit: ocspRequestMaxBytes }, (request, reply) =>
    ocsp(request, reply, request.body),
  );
  app.get('/ocsp/*', (request, reply) =>
    // The path as it was sent: what the router has decoded may have lost a "+" or a "/".
    ocsp(request, reply, ocspRequestOfPath(request.raw.url?.slice('/ocsp/'.length) ?? '')),
  );
}
