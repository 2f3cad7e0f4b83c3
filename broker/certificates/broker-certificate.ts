/**
 * Reads the broker's own certificate, key and CA certificates from its identity folder.
 *
 * @module
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { access } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { assertSecret } from '../../core/secret-file.ts';
import { FlotillaError, isFlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { loadIdentity } from '../../core/identity-folder.ts';
import { isMissing } from '../../core/identity-versions.ts';
import { identityFiles } from '../../core/state-folder.ts';

/** The broker's certificate, key and CA certificates: as PEM, and parsed. */
export interface BrokerCertificate {
  readonly key: string;
  /** The leaf certificate, then its issuers. */
  readonly chain: string;
  /** Root and issuer certificates. */
  readonly ca: string;
  readonly leaf: X509Certificate;
  readonly authorities: readonly X509Certificate[];
}

/**
 * Reads the files and checks that they can be parsed and that key and certificate belong together.
 *
 * @throws FlotillaError `broker-identity-missing`, `broker-identity-invalid`, `file-too-open`
 */
export async function readBrokerCertificate(folder: string): Promise<BrokerCertificate> {
  const files = identityFiles(folder);
  try {
    await assertSecret(files.key);
    const { key, chain, ca } = await loadIdentity(folder);
    return checkIdentity({ key, chain, ca });
  } catch (error) {
    if (isFlotillaError(error) && error.code !== 'identity-unreadable') throw error;
    const reason = isFlotillaError(error) ? error.cause : error;
    const missing = pathIfMissing(reason);
    if (missing !== undefined && !(await exists(files.key)) && !(await exists(files.chain))) {
      throw new FlotillaError('broker-identity-missing', { detail: folder });
    }
    throw new FlotillaError('broker-identity-invalid', {
      detail: missing === undefined ? `${folder}: ${messageOf(reason)}` : `${missing} is missing`,
      cause: error,
    });
  }
}

/** The file that an error of the file system says is missing. */
function pathIfMissing(error: unknown): string | undefined {
  if (!isMissing(error) || !(error instanceof Error) || !('path' in error)) return undefined;
  return typeof error.path === 'string' ? error.path : undefined;
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/**
 * Checks that a key, a chain and CA certificates can be used together.
 *
 * @throws FlotillaError `broker-identity-invalid`
 */
export function checkIdentity(pem: { key: string; chain: string; ca: string }): BrokerCertificate {
  const [leaf] = certificatesIn(pem.chain);
  const authorities = certificatesIn(pem.ca);
  if (leaf === undefined || authorities.length === 0) {
    throw new FlotillaError('broker-identity-invalid', { detail: 'chain.pem or ca.pem is empty' });
  }
  if (!leaf.checkPrivateKey(createPrivateKey(pem.key))) {
    throw new FlotillaError('broker-identity-invalid', {
      detail: 'key.pem is not the key of the certificate',
    });
  }
  try {
    // OpenSSL would reject some input later, for example a weak key: reject it before it is in force.
    createSecureContext({ key: pem.key, cert: pem.chain, ca: pem.ca });
  } catch (error) {
    throw new FlotillaError('broker-identity-invalid', { detail: messageOf(error), cause: error });
  }
  return { ...pem, leaf, authorities };
}

/** All certificates of a PEM text. @throws when one of them cannot be parsed */
export function certificatesIn(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}
