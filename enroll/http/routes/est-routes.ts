/**
 * EST: enrollment over secure transport (RFC 7030, as clarified by RFC 8951 and RFC 9908).
 *
 * The paths are `/.well-known/est/{operation}`, or with an enrollment profile as the label
 * `/.well-known/est/{profile}/{operation}`. Bodies are base64. Requests may contain any white space, or be
 * PEM; `est-body.ts` writes responses. Refusals are problem documents, except a 401 that only asks for credentials.
 *
 * | operation | credential |
 * |---|---|
 * | cacerts, csrattrs | none |
 * | simpleenroll | Basic (user: device id, password: token), Bearer token, factory certificate, or none if approval is enabled |
 * | simplereenroll | the current certificate, also in its grace period |
 * | serverkeygen, fullcmc | refused: a private key never leaves its device, and CMC has no additional use here |
 *
 * @module
 */
import { readCertificate } from '../../../certs/certificate.ts';
import { csrAttributes } from '../../../certs/csr-attributes.ts';
import { certsOnly } from '../../../certs/pkcs7.ts';
import type { Config } from '../../../core/config/config.ts';
import { parseDeviceId } from '../../../core/device-id.ts';
import { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import type { CertificateAuthority } from '../../ca/certificate-authority.ts';
import type { Enrollment, EnrollmentRequest } from '../../enrollment/enrollment.ts';
import type { Factories } from '../../enrollment/factories.ts';
import { profileOf } from '../../enrollment/profiles.ts';
import type { Renewal } from '../../enrollment/renewal.ts';
import { requireIdentity } from '../client-certificate.ts';
import { basicOf, bearerOf } from '../authorization-header.ts';
import { base64Response } from '../est-body.ts';
import { estPath } from '../est-path.ts';
import type { RawRequest, RawResponse, RawRoute } from '../raw-route.ts';
import type { Access } from '../route.ts';

export interface EstRouteDeps {
  readonly ca: CertificateAuthority;
  readonly config: Config;
  readonly enrollment: Enrollment;
  readonly factories: Factories;
  readonly renewal: Renewal;
}

const certificatesType = 'application/pkcs7-mime; smime-type=certs-only';
const requestTypes = ['application/pkcs10', 'application/x-pkcs10'];

interface Operation {
  readonly method: RawRoute['method'];
  readonly name: string;
  readonly access: Access;
  readonly handle: (request: RawRequest, label: string | undefined) => Promise<RawResponse>;
}

export function estRoutes(deps: EstRouteDeps): RawRoute[] {
  return operationsOf(deps).flatMap(({ method, name, access, handle }): RawRoute[] => {
    const common = {
      method,
      access,
      ...(method === 'POST'
        ? { accepts: { mediaTypes: requestTypes, as: 'buffer' as const } }
        : {}),
    };
    return [
      { ...common, path: `${estPath}/${name}`, handle: (request) => handle(request, undefined) },
      {
        ...common,
        path: `${estPath}/:label/${name}`,
        handle: (request) => handle(request, request.params['label']),
      },
    ];
  });
}

function operationsOf(deps: EstRouteDeps): Operation[] {
  const { ca, config } = deps;
  return [
    {
      // RFC 7030, 4.1: roots and issuers; while a root is replaced, 4.1.3: OldWithNew and NewWithOld too.
      method: 'GET',
      name: 'cacerts',
      access: 'anyone',
      handle: ({ headers }, label) => {
        profileOf(config, label);
        return Promise.resolve(
          certificatesResponse(
            ca.certificates.map(({ der }) => der),
            headers,
          ),
        );
      },
    },
    {
      // RFC 7030, 4.5, and RFC 9908.
      method: 'GET',
      name: 'csrattrs',
      access: 'anyone',
      handle: ({ headers }, label) => {
        const { keyTypes, serverNames } = profileOf(config, label);
        const [keyType = 'p256'] = keyTypes;
        const attributes = csrAttributes({ keyType, ownNames: serverNames !== null });
        return Promise.resolve(base64Response('application/csrattrs', attributes, headers));
      },
    },
    {
      method: 'POST',
      name: 'simpleenroll',
      access: 'anyone',
      handle: (request, label) => enroll(deps, request, label),
    },
    {
      method: 'POST',
      name: 'simplereenroll',
      access: 'renewing',
      handle: (request, label) => renew(deps, request, label),
    },
    {
      method: 'POST',
      name: 'serverkeygen',
      access: 'anyone',
      handle: () => refuse('a private key never leaves its device'),
    },
    {
      method: 'POST',
      name: 'fullcmc',
      access: 'anyone',
      handle: () => refuse('CMC is not supported; use simpleenroll'),
    },
  ];
}

function refuse(reason: string): Promise<never> {
  return Promise.reject(new FlotillaError('operation-refused', { detail: reason }));
}

/** RFC 7030, 4.2.1. */
async function enroll(
  { enrollment, factories }: EstRouteDeps,
  request: RawRequest,
  label: string | undefined,
): Promise<RawResponse> {
  const outcome = await enrollment.enroll({
    csr: bodyOf(request),
    ...credentialOf(request, factories),
    ...(label === undefined ? {} : { profile: label }),
    remoteAddress: request.remoteAddress,
  });
  if (outcome.kind === 'issued') return certificatesResponse([outcome.result.der], request.headers);
  return {
    status: 202,
    type: 'text/plain',
    headers: { 'retry-after': String(outcome.retryAfterSeconds) },
    body: `request ${outcome.request} waits for an operator; send it again later\n`,
  };
}

/** RFC 7030, 4.2.2. */
async function renew(
  { renewal }: EstRouteDeps,
  request: RawRequest,
  label: string | undefined,
): Promise<RawResponse> {
  const { remoteAddress } = request;
  const { certificate, x509 } = requireIdentity(request.identity);
  const result = await renewal.renew({
    csr: bodyOf(request),
    serial: certificate.serial,
    fingerprint: certificate.fingerprint,
    names: readCertificate(x509).names,
    sameNames: true,
    profile: label,
    remoteAddress,
    via: 'est',
  });
  return certificatesResponse([result.der], request.headers);
}

/** The user of Basic is the device id; if it is empty, the CSR decides. */
function credentialOf(
  { headers: { authorization }, certificate }: RawRequest,
  factories: Factories,
): Pick<EnrollmentRequest, 'token' | 'device' | 'factory'> {
  const basic = basicOf(authorization);
  if (basic !== undefined) {
    const { user, password } = basic;
    return { token: password, ...(user === '' ? {} : { device: parseDeviceId(user) }) };
  }
  const token = bearerOf(authorization);
  if (token !== undefined) return { token };
  const factory = certificate === undefined ? undefined : factories.authorization(certificate);
  // The certificate decides, also if the request has no subject.
  return factory === undefined ? {} : { factory, device: factory.device };
}

function bodyOf({ body }: RawRequest): Buffer {
  if (Buffer.isBuffer(body)) return body;
  throw new FlotillaError('media-type-unsupported', { detail: 'expected application/pkcs10' });
}

function certificatesResponse(
  certificates: readonly Buffer[],
  headers: RawRequest['headers'],
): RawResponse {
  return base64Response(certificatesType, certsOnly(certificates), headers);
}
