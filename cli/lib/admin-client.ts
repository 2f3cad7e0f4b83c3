/**
 * The enrollment service as the command line sees it: found through the state folder or a URL,
 * spoken to with the administrator's certificate.
 *
 * @module
 */
import type { z } from 'zod';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { callHttps, callJson, problemOf, type Call } from '../../core/protocol/https-client.ts';
import { stateFolder } from '../../core/state-folder.ts';
import type { Config } from '../../core/config/config.ts';
import { readAdministrator } from './administrator.ts';
import { loadStateAndConfig, type Context, type StateOptions } from './context.ts';
import { readEnrollRun } from './run-file.ts';

export interface AdminOptions extends StateOptions {
  /** Another enrollment service than the one that runs on the state folder. */
  readonly url?: string;
}

export interface AdminClient {
  readonly url: string;
  readonly config: Config;
  /** PEM: root, then issuers. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  json<T>(method: Call['method'], path: string, schema: z.ZodType<T>, body?: object): Promise<T>;
  /** A call whose answer has no body, or one that is no JSON. */
  raw(
    method: Call['method'],
    path: string,
    body?: Call['body'],
    headers?: Record<string, string>,
  ): Promise<Buffer>;
}

/**
 * @throws FlotillaError `state-missing` without an administrator's certificate, `service-not-running`
 */
export async function adminClient(options: AdminOptions, context: Context): Promise<AdminClient> {
  const state = stateFolder(options.state);
  const { cert, key, ca } = await readAdministrator(state.admin).catch((error: unknown) => {
    throw new FlotillaError('state-missing', {
      detail: `no administrator in ${options.state}`,
      cause: error,
    });
  });
  const { config } = await loadStateAndConfig(options, context);
  const url = options.url ?? (await readEnrollRun(state))?.https.url ?? config.enroll.url;
  if (url === undefined) throw new FlotillaError('service-not-running', { detail: options.state });
  const call = (method: Call['method'], path: string): Omit<Call, 'body'> => ({
    method,
    url: new URL(path, url).href,
    ca,
    cert,
    key,
  });
  return {
    url,
    config,
    ca,
    cert,
    key,
    json: (method, path, schema, body) =>
      callJson({ ...call(method, path), ...(body === undefined ? {} : { body }) }, schema),
    async raw(method, path, body, headers) {
      const answer = await callHttps({
        ...call(method, path),
        ...(body === undefined ? {} : { body }),
        ...(headers === undefined ? {} : { headers }),
      });
      if (answer.status < 200 || answer.status > 299) throw problemOf(answer);
      return answer.body;
    },
  };
}
