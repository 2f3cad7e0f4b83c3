/**
 * A client of the enrollment service for the commands: finds the service through the state folder or
 * a URL, and authenticates with the administrator's certificate.
 *
 * @module
 */
import type { z } from 'zod';
import { ApiClient, type ApiCall } from '../../core/protocol/api-client.ts';
import { readCertificate, splitPem } from '../../certs/certificate.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { loadIdentity } from '../../core/identity-folder.ts';
import { callHttps, callJson, problemOf, type Call } from '../../core/protocol/https-client.ts';
import { stateFolder } from '../../core/state-folder.ts';
import type { Config } from '../../core/config/config.ts';
import { responseSchemas, type CommandApi } from './api-responses.ts';
import { loadStateAndConfig, type Context, type StateOptions } from './command-context.ts';
import { readEnrollRun } from './run-file.ts';

export interface AdminOptions extends StateOptions {
  /** Overrides the enrollment service that runs on the state folder. */
  readonly url?: string;
}

export interface AdminClient {
  readonly url: string;
  readonly config: Config;
  /** PEM: root, then issuers. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  /** The fingerprint of the root, which devices pin. */
  rootFingerprint(): string;
  /** The operations of the API. Each checks the response; see {@link callOperation}. */
  readonly api: CommandApi;
  /** Makes a call whose body or response is not JSON. */
  raw(
    method: Call['method'],
    path: string,
    body?: Call['body'],
    headers?: Record<string, string>,
  ): Promise<Buffer>;
}

/** How long a part of an import may take on a busy machine, in ms. */
const bulkTimeoutMs = 120_000;

/**
 * @throws FlotillaError `state-missing` without an administrator's certificate, `service-not-running`
 */
export async function adminClient(options: AdminOptions, context: Context): Promise<AdminClient> {
  const state = stateFolder(options.state);
  const {
    chain: cert,
    key,
    ca,
  } = await loadIdentity(state.admin).catch((error: unknown) => {
    throw new FlotillaError('state-missing', {
      detail: `no administrator certificate in ${options.state}`,
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
    rootFingerprint: () => readCertificate(splitPem(ca)[0] ?? '').fingerprint,
    api: new ApiClient((operation) =>
      callOperation(call(operation.method, operation.path), operation),
    ),
    async raw(method, path, body, headers) {
      const answer = await callHttps({
        ...call(method, path),
        timeoutMs: bulkTimeoutMs,
        ...(body === undefined ? {} : { body }),
        ...(headers === undefined ? {} : { headers }),
      });
      if (answer.status < 200 || answer.status > 299) throw problemOf(answer);
      return answer.body;
    },
  };
}

const schemas = new Map<string, z.ZodType>(Object.entries(responseSchemas));

/** @throws FlotillaError `service-answer-invalid` for a response that does not fit its schema; otherwise as callJson */
function callOperation(
  call: Omit<Call, 'body'>,
  { operation, body, headers }: ApiCall,
): Promise<unknown> {
  const schema = schemas.get(operation);
  if (schema === undefined) throw new FlotillaError('internal', { detail: operation });
  return callJson(
    {
      ...call,
      ...(body === undefined ? {} : { body }),
      ...(headers === undefined ? {} : { headers }),
    },
    schema,
  );
}
