/**
 * Pages with which a browser signs in: a one-time link, or the identity provider.
 *
 * @module
 */
import { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import type { AuditEvent } from '../../audit/audit-event.ts';
import type { BoundedRefusals } from '../../audit/bounded-refusals.ts';
import type { IdentityProvider, SignInState } from '../../operators/identity-provider.ts';
import type { NewSession, SignIn } from '../../operators/sign-in.ts';
import type { Clock } from '../../../core/clock.ts';
import { pageHeaders } from '../page-headers.ts';
import { catalogued } from '../problem.ts';
import type { RawRequest, RawResponse, RawRoute } from '../raw-route.ts';
import { cookieOf, sessionCookieHeader } from '../session-cookie.ts';
import { failedPage, linkPage, signedInPage } from '../sign-in-page.ts';

export interface SignInRouteDeps {
  /** Audit lines about refused requests. */
  readonly refused: Pick<BoundedRefusals, 'append'>;
  readonly clock: Clock;
  readonly provider: IdentityProvider | undefined;
  readonly signIn: SignIn;
}

const formType = 'application/x-www-form-urlencoded';
const stateCookie = '__Host-flotilla-oidc';
/** How long a person may take at the provider. */
const stateMaxAgeSeconds = 600;

export function signInRoutes(deps: SignInRouteDeps): RawRoute[] {
  return [...linkRoutes(deps), ...providerRoutes(deps)];
}

function linkRoutes({ refused, clock, signIn }: SignInRouteDeps): RawRoute[] {
  return [
    {
      method: 'GET',
      path: '/v1/sign-in/link',
      access: 'anyone',
      handle: ({ url }) =>
        Promise.resolve(html(200, linkPage(searchOf(url).get('token')?.slice(0, 64) ?? ''))),
    },
    {
      method: 'POST',
      path: '/v1/sign-in/link',
      access: 'anyone',
      accepts: { mediaTypes: [formType], as: 'string' },
      bodyMaxBytes: 4096,
      async handle(request) {
        const { body, headers, remoteAddress } = request;
        // Without this check another site could sign a browser in as somebody else.
        if (headers.origin !== undefined && headers.origin !== `https://${headers.host ?? ''}`) {
          throw new FlotillaError('request-origin-refused', { detail: 'Origin' });
        }
        const token = typeof body === 'string' ? new URLSearchParams(body).get('token') : null;
        try {
          return signedIn(await signIn.useLink(token ?? '', remoteAddress), clock);
        } catch (error) {
          const known = catalogued(error);
          await refused.append(refusal(request, 'link', known));
          // A person reads a page, a program a problem document.
          if (headers.accept?.includes('text/html') === true) return failure(known);
          throw error;
        }
      },
    },
  ];
}

function providerRoutes({ refused, clock, provider, signIn }: SignInRouteDeps): RawRoute[] {
  if (provider === undefined) return [];
  return [
    {
      method: 'GET',
      path: '/v1/sign-in/oidc',
      access: 'anyone',
      async handle() {
        const { url, kept } = await provider.begin();
        return {
          ...html(302, ''),
          headers: { ...pageHeaders, location: url, 'set-cookie': stateCookieHeader(kept) },
        };
      },
    },
    {
      method: 'GET',
      path: '/v1/sign-in/oidc/callback',
      access: 'anyone',
      async handle(request) {
        const { headers, remoteAddress, url } = request;
        try {
          const kept = stateOf(cookieOf(headers.cookie, stateCookie));
          if (kept === undefined) {
            throw new FlotillaError('sign-in-failed', {
              detail: 'it took too long, or began elsewhere',
            });
          }
          const { name, role } = await provider.finish(searchOf(url).toString(), kept);
          return signedIn(await signIn.byProvider(name, role, remoteAddress), clock);
        } catch (error) {
          const known = catalogued(error);
          await refused.append(refusal(request, 'provider', known));
          return failure(known);
        }
      },
    },
  ];
}

function signedIn({ token, expiresAtMs }: NewSession, clock: Clock): RawResponse {
  const seconds = Math.max(0, Math.floor((expiresAtMs - clock.now()) / 1000));
  return {
    ...html(200, signedInPage()),
    headers: { ...pageHeaders, 'set-cookie': sessionCookieHeader(token, seconds) },
  };
}

function failure({ detail, spec }: FlotillaError): RawResponse {
  const { title, advice, http = 500 } = spec;
  return html(http, failedPage(detail ?? title, advice));
}

function html(status: number, body: string): RawResponse {
  return {
    status,
    type: 'text/html; charset=utf-8',
    headers: { ...pageHeaders, 'cache-control': 'no-store' },
    body,
  };
}

function refusal(
  { remoteAddress }: RawRequest,
  way: string,
  { code, detail }: FlotillaError,
): AuditEvent {
  return {
    action: 'sign-in-refused',
    actor: 'anonymous',
    remoteAddress,
    detail: { way, code, ...(detail === undefined ? {} : { detail: detail.slice(0, 256) }) },
  };
}

/** The provider sends the browser back from another site: only `Lax` cookies come along. */
function stateCookieHeader({ state, nonce, verifier }: SignInState): string {
  return `${stateCookie}=${state}.${nonce}.${verifier}; Path=/; Max-Age=${stateMaxAgeSeconds}; Secure; HttpOnly; SameSite=Lax`;
}

function stateOf(cookie: string | undefined): SignInState | undefined {
  const [state, nonce, verifier] = cookie?.split('.') ?? [];
  return state === undefined || nonce === undefined || verifier === undefined
    ? undefined
    : { state, nonce, verifier };
}

function searchOf(url: string): URLSearchParams {
  const at = url.indexOf('?');
  return new URLSearchParams(at === -1 ? '' : url.slice(at));
}
