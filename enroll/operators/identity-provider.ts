/**
 * Sign-in by an identity provider: OpenID Connect, authorization code flow with PKCE (RFC 7636), state and
 * nonce. The provider's configuration is read at the first sign-in, so that the service starts without it.
 *
 * @module
 */
import { rootCertificates } from 'node:tls';
import {
  authorizationCodeGrant,
  buildAuthorizationUrl,
  calculatePKCECodeChallenge,
  ClientSecretBasic,
  customFetch,
  discovery,
  None,
  randomNonce,
  randomPKCECodeVerifier,
  randomState,
  type Configuration,
} from 'openid-client';
import type { Config } from '../../core/config/config.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { operatorRoles, type OperatorRole } from '../../core/protocol/operator-role.ts';
import { callHttps } from '../../core/protocol/https-client.ts';

type OidcConfig = NonNullable<Config['enroll']['oidc']>;

/** What the browser keeps between the two halves of a sign-in. */
export interface SignInState {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
}

export interface SignedInPerson {
  /** With the prefix `oidc:`, so that nobody can be taken for an operator of the same name. */
  readonly name: string;
  readonly role: OperatorRole;
}

export interface ProviderSecrets {
  readonly clientSecret: string | undefined;
  /** PEM of what its certificate is checked against; undefined: the system store. */
  readonly ca: string | undefined;
}

const nameShape = /^[^\s\p{C}]{1,200}$/u;
const timeoutMs = 10_000;

export class IdentityProvider {
  readonly #config: OidcConfig;
  readonly #secrets: ProviderSecrets;
  readonly #redirectUri: () => string;
  #discovered: Promise<Configuration> | undefined;

  /** @param redirectUri where the provider sends the browser back */
  constructor(config: OidcConfig, secrets: ProviderSecrets, redirectUri: () => string) {
    this.#config = config;
    this.#secrets = secrets;
    this.#redirectUri = redirectUri;
  }

  get label(): string {
    return this.#config.label;
  }

  /** Begins a sign-in. @throws FlotillaError `sign-in-failed` when the provider cannot be reached */
  async begin(): Promise<{ readonly url: string; readonly kept: SignInState }> {
    const configuration = await this.#configuration();
    const kept = {
      state: randomState(),
      nonce: randomNonce(),
      verifier: randomPKCECodeVerifier(),
    };
    const url = buildAuthorizationUrl(configuration, {
      redirect_uri: this.#redirectUri(),
      scope: this.#config.scopes.join(' '),
      state: kept.state,
      nonce: kept.nonce,
      code_challenge: await calculatePKCECodeChallenge(kept.verifier),
      code_challenge_method: 'S256',
    });
    return { url: url.href, kept };
  }

  /**
   * Ends a sign-in.
   *
   * @param query what the provider sent the browser back with
   * @throws FlotillaError `sign-in-failed`
   */
  async finish(query: string, kept: SignInState): Promise<SignedInPerson> {
    const configuration = await this.#configuration();
    const url = new URL(this.#redirectUri());
    url.search = query;
    let claims: Readonly<Record<string, unknown>> | undefined;
    try {
      const tokens = await authorizationCodeGrant(configuration, url, {
        expectedState: kept.state,
        expectedNonce: kept.nonce,
        pkceCodeVerifier: kept.verifier,
        idTokenExpected: true,
      });
      claims = tokens.claims();
    } catch (error) {
      throw new FlotillaError('sign-in-failed', { cause: error });
    }
    const name = claims?.[this.#config.nameClaim] ?? claims?.['sub'];
    if (typeof name !== 'string' || !nameShape.test(name)) {
      throw new FlotillaError('sign-in-failed', {
        detail: `the claim ${this.#config.nameClaim} is no name`,
      });
    }
    const role = roleOfClaim(claims?.[this.#config.roleClaim], this.#config.roles);
    if (role === undefined) {
      throw new FlotillaError('sign-in-failed', {
        detail: `the claim ${this.#config.roleClaim} gives no role`,
      });
    }
    return { name: `oidc:${name}`, role };
  }

  #configuration(): Promise<Configuration> {
    const { issuer, clientId } = this.#config;
    const { clientSecret } = this.#secrets;
    this.#discovered ??= discovery(
      new URL(issuer),
      clientId,
      undefined,
      clientSecret === undefined ? None() : ClientSecretBasic(clientSecret),
      { [customFetch]: (url, options) => this.#fetch(url, options), timeout: timeoutMs / 1000 },
    ).catch((error: unknown) => {
      // Tried again at the next sign-in.
      this.#discovered = undefined;
      throw new FlotillaError('sign-in-failed', { detail: issuer, cause: error });
    });
    return this.#discovered;
  }

  /** Over our own client: its CA can be set, and its answers are bounded. */
  async #fetch(
    url: string,
    options: {
      readonly method: string;
      readonly headers: Readonly<Record<string, string>>;
      readonly body?: unknown;
    },
  ): Promise<Response> {
    const { method, headers, body } = options;
    const { status, ...answer } = await callHttps({
      method: method === 'POST' ? 'POST' : 'GET',
      url,
      ca: this.#secrets.ca ?? rootCertificates.join('\n'),
      headers,
      ...(body === undefined || body === null ? {} : { body: textOf(body) }),
      timeoutMs,
    });
    const type = answer.headers['content-type'];
    return new Response(answer.body, {
      status,
      headers: type === undefined ? {} : { 'content-type': type },
    });
  }
}

/** The most powerful role whose values a claim has. */
export function roleOfClaim(claim: unknown, roles: OidcConfig['roles']): OperatorRole | undefined {
  const values = new Set(Array.isArray(claim) ? claim : [claim]);
  return operatorRoles.findLast((role) => roles[role].some((value) => values.has(value)));
}

function textOf(body: unknown): string {
  if (typeof body === 'string') return body;
  if (body instanceof URLSearchParams) return body.toString();
  throw new FlotillaError('internal');
}
