/**
 * EST: enrollment over secure transport (RFC 7030, as clarified by RFC 8951 and RFC 9908).
 *
 * `/.well-known/est/{operation}`, or with the name of an enrollment profile as the label:
 * `/.well-known/est/{profile}/{operation}`. Bodies are base64: on input with any white space and also
 * as PEM, on output on one line, because there are clients that stumble over a line break (RFC 8951,
 * 2). Refusals are problem documents.
 *
 * | operation | credential |
 * |---|---|
 * | cacerts, csrattrs | none |
 * | simpleenroll | Basic (user: device id, password: token), Bearer token, factory certificate, or none where approval is on |
 * | simplereenroll | the current certificate, also in its grace period |
 * | serverkeygen, fullcmc | refused: a device's key never leaves it; CMC adds nothing here |
 *
 * @module
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { readCertificate } from '../../../certs/certificate.ts';
import { csrAttributes } from '../../../certs/csr-attributes.ts';
import { certsOnly } from '../../../certs/pkcs7.ts';
import type { Config } from '../../../core/config/config.ts';
import { parseDeviceId } from '../../../core/device-id.ts';
import { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import type { CertificateAuthority } from '../../ca/certificate-authority.ts';
import type { Enrollment, EnrollRequest } from '../../enrollment/enrollment.ts';
import type { Factories } from '../../enrollment/factories.ts';
import { profileOf } from '../../enrollment/profiles.ts';
import type { Renewal } from '../../enrollment/renewal.ts';
import { peerCertificate } from '../client-certificate.ts';
import { basicOf, bearerOf } from '../authorization-header.ts';
import { remoteAddressOf, type HttpServer } from '../server.ts';

export interface EstRouteDeps {
  readonly ca: CertificateAuthority;
  readonly config: Config;
  readonly enrollment: Enrollment;
  readonly factories: Factories;
  readonly renewal: Renewal;
}

const base = '/.well-known/est';
const certificatesType = 'application/pkcs7-mime; smime-type=certs-only';

type Operation = (
  request: FastifyRequest,
  reply: FastifyReply,
  label: string | undefined,
) => Promise<FastifyReply>;

export function serveEst(http: HttpServer, deps: EstRouteDeps): void {
  const { app } = http;
  app.addContentTypeParser(
    ['application/pkcs10', 'application/x-pkcs10'],
    { parseAs: 'buffer' },
    (_request, body, done: (error: Error | null, value?: unknown) => void) => done(null, body),
  );
  const operations: readonly (readonly ['GET' | 'POST', string, Operation])[] = [
    [
      'GET',
      'cacerts',
      (request, reply, label) => caCertificates(deps, http, request, reply, label),
    ],
    ['GET', 'csrattrs', (request, reply, label) => attributes(deps, http, request, reply, label)],
    ['POST', 'simpleenroll', (request, reply, label) => enroll(deps, http, request, reply, label)],
    ['POST', 'simplereenroll', (request, reply, label) => renew(deps, http, request, reply, label)],
    ['POST', 'serverkeygen', () => refuse("a device's key never leaves it")],
    ['POST', 'fullcmc', () => refuse('CMC adds nothing that EST does not have')],
  ];
  for (const [method, name, operation] of operations) {
    app.route({
      method,
      url: `${base}/${name}`,
      handler: (request, reply) => operation(request, reply, undefined),
    });
    app.route<{ Params: { label: string } }>({
      method,
      url: `${base}/:label/${name}`,
      handler: (request, reply) => operation(request, reply, request.params.label),
    });
  }
}

// eslint-disable-next-line @typescript-eslint/require-await -- an operation that is refused
async function refuse(reason: string): Promise<never> {
  throw new FlotillaError('operation-refused', { detail: reason });
}

/** RFC 7030, 4.1: root and issuers. */
async function caCertificates(
  { ca, config }: EstRouteDeps,
  http: HttpServer,
  request: FastifyRequest,
  reply: FastifyReply,
  label: string | undefined,
): Promise<FastifyReply> {
  http.assertRate(request);
  profileOf(config, label);
  const certificates = [ca.root, ...ca.issuers.map(({ certificate }) => certificate)];
  return reply.type(certificatesType).send(base64(certsOnly(certificates.map(({ der }) => der))));
}

/** RFC 7030, 4.5, and RFC 9908. */
async function attributes(
  { config }: EstRouteDeps,
  http: HttpServer,
  request: FastifyRequest,
  reply: FastifyReply,
  label: string | undefined,
): Promise<FastifyReply> {
  http.assertRate(request);
  const [keyType = 'p256'] = profileOf(config, label).keyTypes;
  return reply.type('application/csrattrs').send(base64(csrAttributes({ keyType })));
}

/** RFC 7030, 4.2.1. */
async function enroll(
  { enrollment, factories }: EstRouteDeps,
  http: HttpServer,
  request: FastifyRequest,
  reply: FastifyReply,
  label: string | undefined,
): Promise<FastifyReply> {
  http.assertRate(request);
  const outcome = await enrollment.enroll({
    csr: bodyOf(request),
    ...credentialOf(request, factories),
    ...(label === undefined ? {} : { profile: label }),
    remoteAddress: remoteAddressOf(request),
  });
  if (outcome.kind === 'issued') {
    return reply.type(certificatesType).send(base64(certsOnly([outcome.answer.der])));
  }
  return reply
    .status(202)
    .header('retry-after', String(outcome.retryAfterSeconds))
    .type('text/plain')
    .send(`request ${outcome.request} waits for an operator; send it again later\n`);
}

/** RFC 7030, 4.2.2. */
async function renew(
  { renewal, config }: EstRouteDeps,
  http: HttpServer,
  request: FastifyRequest,
  reply: FastifyReply,
  label: string | undefined,
): Promise<FastifyReply> {
  const { identity } = await http.admit(request, 'renewing');
  if (identity === undefined) throw new FlotillaError('client-certificate-required');
  profileOf(config, label);
  const { certificate, x509 } = identity;
  const answer = await renewal.renew({
    csr: bodyOf(request),
    serial: certificate.serial,
    fingerprint: certificate.fingerprint,
    names: readCertificate(x509).names,
    sameNames: true,
    remoteAddress: remoteAddressOf(request),
    via: 'est',
  });
  return reply.type(certificatesType).send(base64(certsOnly([answer.der])));
}

/** Basic's user is the device id; an empty one leaves it to the CSR. */
function credentialOf(
  request: FastifyRequest,
  factories: Factories,
): Pick<EnrollRequest, 'token' | 'device' | 'factory'> {
  const { authorization } = request.headers;
  const basic = basicOf(authorization);
  if (basic !== undefined) {
    const { user, password } = basic;
    return { token: password, ...(user === '' ? {} : { device: parseDeviceId(user) }) };
  }
  const token = bearerOf(authorization);
  if (token !== undefined) return { token };
  const certificate = peerCertificate(request.raw.socket);
  const factory = certificate === undefined ? undefined : factories.authorization(certificate);
  return factory === undefined ? {} : { factory };
}

function bodyOf(request: FastifyRequest): Buffer {
  if (Buffer.isBuffer(request.body)) return request.body;
  throw new FlotillaError('media-type-unsupported', { detail: 'expected was application/pkcs10' });
}

/** As bytes: to a text the framework could add a charset. */
function base64(der: Buffer): Buffer {
  return Buffer.from(der.toString('base64'));
}
