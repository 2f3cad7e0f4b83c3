/**
 * A real OpenID Connect provider on a port of its own, with people who need no password.
 *
 * @module
 */
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { IncomingHttpHeaders } from 'node:http';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import Provider from 'oidc-provider';
import { identityFiles } from '../../core/state-folder.ts';
import type { TestService } from './enroll-service.ts';
import { tempFolder } from './temp-folder.ts';

interface TestProvider {
  readonly issuer: string;
  /** PEM of what its certificate is checked against. */
  readonly ca: string;
}

/** Who can sign in: the login name and the claims of each. */
export type People = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

async function oidcProvider(
  t: Pick<ExecutionContext, 'teardown'>,
  options: {
    readonly key: string;
    readonly cert: string;
    readonly ca: string;
    readonly people: People;
    readonly clientSecret: string;
    readonly redirectUri: string;
  },
): Promise<TestProvider> {
  const { key, cert, ca, people, clientSecret, redirectUri } = options;
  const server = createServer({ key, cert });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `https://localhost:${(server.address() as AddressInfo).port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: 'flotilla',
        client_secret: clientSecret,
        redirect_uris: [redirectUri],
        response_types: ['code'],
        grant_types: ['authorization_code'],
      },
    ],
    claims: { openid: ['sub'], email: ['email'], profile: ['groups'] },
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    features: { devInteractions: { enabled: true } },
    findAccount: (_context, id) => ({
      accountId: id,
      claims: () => ({ sub: id, ...people[id] }),
    }),
  });
  const handle = provider.callback();
  server.on('request', (request, response) => {
    void handle(request, response);
  });
  t.teardown(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { issuer, ca };
}

/** The name of the provider on the sign-in page. */
export const providerLabel = 'Example';

/**
 * Starts a provider for a service, and starts the service again with it. The people of group `fleet-viewers` are
 * viewers, those of `fleet-admins` are administrators. The address of the service becomes `https://localhost:…`.
 */
export async function restartWithProvider(
  t: Pick<ExecutionContext, 'teardown'>,
  plain: TestService,
  people: People,
): Promise<TestService> {
  const folder = tempFolder(t);
  const port = Number(new URL(plain.url).port);
  const url = `https://localhost:${port}`;
  // The provider shows a certificate of the same CA: one file serves as its CA.
  const tls = identityFiles(plain.state.enroll.tls);
  const clientSecret = 's'.repeat(40);
  const provider = await oidcProvider(t, {
    key: await readFile(tls.key, 'utf8'),
    cert: await readFile(tls.chain, 'utf8'),
    ca: plain.ca,
    people,
    clientSecret,
    redirectUri: `${url}/v1/sign-in/oidc/callback`,
  });
  const clientSecretFile = join(folder, 'secret');
  const caFile = join(folder, 'ca.pem');
  await writeFile(clientSecretFile, clientSecret, { mode: 0o600 });
  await writeFile(caFile, plain.ca);
  const config = {
    enroll: {
      port,
      url,
      oidc: {
        issuer: provider.issuer,
        clientId: 'flotilla',
        clientSecretFile,
        caFile,
        label: providerLabel,
        roles: { viewer: ['fleet-viewers'], admin: ['fleet-admins'] },
      },
    },
  };
  return plain.restart(config);
}

interface Visit {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A browser with cookies for each origin, which follows redirects by hand. */
export class TestBrowser {
  readonly #ca: string;
  readonly #cookies = new Map<string, Map<string, string>>();

  constructor(ca: string) {
    this.#ca = ca;
  }

  cookie(url: string, name: string): string | undefined {
    return this.#cookies.get(new URL(url).host)?.get(name);
  }

  /** Follows redirects until `stop` says that the next address is the last one to visit. */
  async visit(
    url: string,
    form?: Readonly<Record<string, string>>,
  ): Promise<Visit & { url: string }> {
    let at = url;
    let answer = await this.#once(at, form);
    for (let hops = 0; answer.headers.location !== undefined; hops++) {
      if (hops > 20) throw new Error('too many redirects');
      at = new URL(answer.headers.location, at).href;
      answer = await this.#once(at);
    }
    return { ...answer, url: at };
  }

  #once(url: string, form?: Readonly<Record<string, string>>): Promise<Visit> {
    const { host } = new URL(url);
    const cookies = this.#cookies.get(host) ?? new Map<string, string>();
    this.#cookies.set(host, cookies);
    const body = form === undefined ? undefined : new URLSearchParams(form).toString();
    return new Promise((resolve, reject) => {
      const request = httpsRequest(
        url,
        {
          method: body === undefined ? 'GET' : 'POST',
          ca: this.#ca,
          headers: {
            cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '),
            ...(body === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
          },
        },
        (response) => {
          for (const line of response.headers['set-cookie'] ?? []) {
            const [pair = ''] = line.split(';');
            const split = pair.indexOf('=');
            cookies.set(pair.slice(0, split), pair.slice(split + 1));
          }
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: Buffer.concat(chunks).toString(),
            }),
          );
          response.on('error', reject);
        },
      );
      request.on('error', reject);
      request.end(body);
    });
  }
}
