/**
 * The connection of a device, step by step: its files, its certificate, the enrollment service, the broker.
 * Each step names what is wrong, with the advice of the error catalogue.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { readCertificate, splitPem } from '../../certs/certificate.ts';
import { oids } from '../../certs/oids.ts';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { loadIdentity, type IdentityContent } from '../../core/identity-folder.ts';
import { whoamiSchema } from '../../core/protocol/enrollment-api.ts';
import { callHttps, callJson } from '../../core/protocol/https-client.ts';
import { assertSecret } from '../../core/secret-file.ts';
import { identityFiles } from '../../core/state-folder.ts';
import { openConnection, type ConnectionOptions } from './mqtt-connection.ts';
import { withCatalogueCode } from './system-error.ts';

export interface ConnectionCheck {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  readonly code?: string;
  readonly advice?: string;
}

export interface CheckOptions extends ConnectionOptions {
  /** Of the enrollment service (default: the one at which the device enrolled). */
  readonly url?: string;
}

/** A larger difference makes certificates look expired or not valid yet. */
const clockDifferenceMaxMs = 5 * 60_000;
const enrollmentSchema = z.object({ url: z.url() });

/** Runs the steps. A step that needs the result of a failed one is left out. */
export async function checkConnection(options: CheckOptions): Promise<readonly ConnectionCheck[]> {
  const checks: ConnectionCheck[] = [];
  const step = async <T>(
    name: string,
    run: () => Promise<{ detail: string; value: T }>,
  ): Promise<T | undefined> => {
    try {
      const { detail, value } = await run();
      checks.push({ name, ok: true, detail });
      return value;
    } catch (thrown) {
      checks.push(failed(name, atTheTime(withCatalogueCode(thrown))));
      return undefined;
    }
  };
  const identity = await step('files', () => readFiles(options.dir));
  if (identity === undefined) return checks;
  const isValid = await step('certificate', () =>
    Promise.resolve(checkCertificate(identity, Date.now())),
  );
  const url = options.url ?? (await enrollmentUrl(options.dir));
  if (url !== undefined) {
    const isReached = await step('enrollment service', () => checkService(url, identity));
    // The broker only closes the connection of an identity that may not connect; the service says why.
    if (isValid && isReached) await step('registry', () => checkRegistration(url, identity));
  }
  await step('broker', () => checkBroker(options));
  return checks;
}

/** The error that a wrong clock explains, instead of the one that blames the server. */
function atTheTime(error: unknown): unknown {
  if (!(error instanceof FlotillaError)) return error;
  const { cause } = error;
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  if (code !== 'CERT_NOT_YET_VALID' && code !== 'CERT_HAS_EXPIRED') return error;
  const problem = code === 'CERT_HAS_EXPIRED' ? 'has expired' : 'is not valid yet';
  return new FlotillaError('server-certificate-time', {
    detail: `here it is ${new Date().toISOString()}, and the certificate ${problem}`,
    cause: error,
  });
}

function failed(name: string, error: unknown): ConnectionCheck {
  if (!(error instanceof FlotillaError)) return { name, ok: false, detail: messageOf(error) };
  const { code, detail, spec } = error;
  const text = detail === undefined ? spec.title : `${spec.title}: ${detail}`;
  return { name, ok: false, detail: text, code, advice: spec.advice };
}

async function readFiles(dir: string): Promise<{ detail: string; value: IdentityContent }> {
  const value = await loadIdentity(dir);
  await assertSecret(identityFiles(dir).key);
  return { detail: `${dir} has a key, its certificate and the CAs`, value };
}

function checkCertificate(
  { cert, ca, chain }: IdentityContent,
  nowMs: number,
): { detail: string; value: true } {
  const { commonName, extendedKeyUsage, notBeforeMs, notAfterMs, x509 } = readCertificate(cert);
  if (!commonName.ok) throw new FlotillaError(commonName.code);
  const from = new Date(notBeforeMs).toISOString();
  const until = new Date(notAfterMs).toISOString();
  // To the services it is untrusted, which would blame its issuer.
  if (extendedKeyUsage.length > 0 && !extendedKeyUsage.includes(oids.clientAuth)) {
    throw new FlotillaError('certificate-wrong-purpose', {
      detail: `${commonName.id}, of a server`,
    });
  }
  if (nowMs < notBeforeMs) {
    throw new FlotillaError('certificate-not-yet-valid', { detail: `valid from ${from}` });
  }
  if (nowMs >= notAfterMs) {
    throw new FlotillaError('certificate-expired', { detail: `valid until ${until}` });
  }
  const authorities = [...splitPem(ca), ...splitPem(chain).slice(1)].map(
    (pem) => new X509Certificate(pem),
  );
  // The issuer of devices that are servers is in no ca.pem: the next steps say whether the services accept it.
  const isServer = extendedKeyUsage.includes(oids.serverAuth);
  if (!isServer && !authorities.some((one) => x509.verify(one.publicKey))) {
    throw new FlotillaError('certificate-untrusted', {
      detail: 'none of the CAs in ca.pem issued it',
    });
  }
  return { detail: `${commonName.id}, valid until ${until}`, value: true };
}

/** Undefined where the folder does not say at which service the device enrolled. */
async function enrollmentUrl(dir: string): Promise<string | undefined> {
  try {
    const text = await readFile(join(dir, 'enrollment.json'), 'utf8');
    return enrollmentSchema.parse(JSON.parse(text)).url;
  } catch {
    return undefined;
  }
}

async function checkService(
  url: string,
  { ca }: IdentityContent,
): Promise<{ detail: string; value: true }> {
  const { headers } = await callHttps({ method: 'GET', url: new URL('/v1/ca', url).href, ca });
  const serverMs = Date.parse(headers.date ?? '');
  const differenceMs = Date.now() - serverMs;
  if (Math.abs(differenceMs) > clockDifferenceMaxMs) {
    const seconds = Math.round(Math.abs(differenceMs) / 1000);
    const side = differenceMs > 0 ? 'ahead of' : 'behind';
    throw new FlotillaError('clock-differs', {
      detail: `this machine is ${seconds} seconds ${side} the service`,
    });
  }
  return { detail: `${url} is reachable and trusted`, value: true };
}

/** Calls the service as the device, which is refused with a reason where the identity may not connect. */
async function checkRegistration(
  url: string,
  { ca, chain, key }: IdentityContent,
): Promise<{ detail: string; value: true }> {
  const { role } = await callJson(
    { method: 'GET', url: new URL('/v1/whoami', url).href, ca, cert: chain, key },
    whoamiSchema,
  );
  return { detail: `the identity may connect, with role ${role}`, value: true };
}

async function checkBroker(options: ConnectionOptions): Promise<{ detail: string; value: true }> {
  const client = await openConnection(options);
  await client.endAsync();
  return { detail: 'accepts the certificate and the client id', value: true };
}
