/**
 * The cookie of a browser session. The prefix `__Host-` binds it to this host, to HTTPS and to the
 * root path; `SameSite=Strict` keeps it away from requests that another site causes.
 *
 * @module
 */
export const sessionCookie = '__Host-flotilla';

const headerMaxChars = 4096;

/** The value of a cookie. A header that is too long has none. */
export function cookieOf(header: string | undefined, name: string): string | undefined {
  if (header === undefined || header.length > headerMaxChars) return undefined;
  for (const pair of header.split(';')) {
    const at = pair.indexOf('=');
    if (at !== -1 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim();
  }
  return undefined;
}

/** The Set-Cookie header that starts a session in a browser. */
export function sessionCookieHeader(token: string, maxAgeSeconds: number): string {
  return `${sessionCookie}=${token}; Path=/; Max-Age=${maxAgeSeconds}; Secure; HttpOnly; SameSite=Strict`;
}

/** The Set-Cookie header that ends it. */
export function expiredSessionCookieHeader(): string {
  return `${sessionCookie}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict`;
}
