/**
 * The operations of the API for this page: the client that is generated from the OpenAPI document, over
 * {@link callApi}. Calls reject with an ApiProblem.
 *
 * @module
 */
import { ApiClient } from '../../core/protocol/api-client.ts';
import { callApi } from './call-api.ts';

/** @param signal ends all calls of this client early */
export function pageApi(signal?: AbortSignal): ApiClient {
  return new ApiClient(({ method, path, body, headers, signal: own = signal }) =>
    callApi(method, path, {
      ...(body === undefined ? {} : { body }),
      ...(headers === undefined ? {} : { headers }),
      ...(own === undefined ? {} : { signal: own }),
    }),
  );
}

export const api = pageApi();

/**
 * The path and query that `read` would call, without calling it. Components read again when it changes.
 *
 * @param read calls one operation at once
 */
export function calledPath(read: (client: ApiClient) => unknown): string {
  let called = '';
  const recorder = new ApiClient(({ path }) => {
    called = path;
    return new Promise(() => undefined);
  });
  read(recorder);
  return called;
}
