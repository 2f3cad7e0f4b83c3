/**
 * What a request for enrollment authenticates with, resolved once for each attempt.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import type { Csr } from '../../certs/csr.ts';
import type { DeviceId } from '../../core/device-id.ts';
import type { TokenRecord } from '../registry/records.ts';
import type { Stored } from '../registry/registry.ts';
import type { FactoryAuthorization } from './factories.ts';
import { replayKey } from './issue-result.ts';
import { tokenName, type Tokens } from './tokens.ts';

export type Credential =
  | { readonly kind: 'token'; readonly token: Stored<TokenRecord> }
  | { readonly kind: 'factory'; readonly factory: FactoryAuthorization }
  | { readonly kind: 'none' };

/**
 * Looks up the credential of a request. A token has precedence over a factory certificate.
 *
 * @throws FlotillaError `token-invalid`, `token-expired`
 */
export async function resolveCredential(
  request: { readonly token?: string; readonly factory?: FactoryAuthorization },
  tokens: Tokens,
): Promise<Credential> {
  const { token, factory } = request;
  if (token !== undefined) return { kind: 'token', token: await tokens.find(token) };
  return factory === undefined ? { kind: 'none' } : { kind: 'factory', factory };
}

/** The name of a credential in the audit log. */
export function actorOf(credential: Credential): string {
  switch (credential.kind) {
    case 'token':
      return tokenName(credential.token.hash);
    case 'factory':
      return `factory:${credential.factory.factory.name}:${credential.factory.serial}`;
    case 'none':
      return 'anonymous';
  }
}

/** The key of the replay for a request: only the same credential with the same CSR gets it. */
export function replayKeyOf(credential: Credential, csr: Csr, device: DeviceId): string {
  return replayKey(authorityOf(credential, csr, device), csr.der);
}

function authorityOf(credential: Credential, csr: Csr, device: DeviceId): string {
  switch (credential.kind) {
    case 'token':
      return `token:${credential.token.hash}`;
    case 'factory':
      return `factory:${credential.factory.fingerprint}`;
    case 'none':
      return `request:${requestId(csr, device)}`;
  }
}

/** The same CSR for the same device is the same request. */
export function requestId(csr: Pick<Csr, 'der'>, device: DeviceId): string {
  return createHash('sha256')
    .update(device)
    .update('\0')
    .update(csr.der)
    .digest('hex')
    .slice(0, 32);
}
