/** Calls of the API. @module */
import type { ApiSession } from './api-types.ts';
import { sessionState } from './session-state.ts';

/** An error response of the service, or a connection that failed. */
export class ApiProblem extends Error {
  readonly code: string;
  /** The HTTP status; 0 when there was no response. */
  readonly status: number;
  readonly detail: string | undefined;
  readonly advice: string | undefined;

  constructor(status: number, problem: Readonly<Record<string, unknown>>) {
    super(textOf(problem['title']) ?? `The service answered with status ${status}`);
    this.status = status;
    this.code = textOf(problem['code']) ?? 'unknown';
    this.detail = textOf(problem['detail']);
    this.advice = textOf(problem['advice']);
  }
}

export interface CallOptions {
  /** JSON. */
  readonly body?: unknown;
  /** Another body than JSON. */
  readonly text?: { readonly content: string; readonly type: string };
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Gets the headers of a response that is not an error. */
  readonly received?: (headers: Headers) => void;
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/**
 * Calls the API. The caller names the type of the response; the service is of the same version as the page.
 *
 * @throws ApiProblem
 */
export async function callApi<Response>(
  method: Method,
  path: string,
  options: CallOptions = {},
): Promise<Response> {
  const response = await send(method, path, options);
  if (response.status === 401) signedOut(await problemOf(response));
  if (!response.ok) throw await problemOf(response);
  options.received?.(response.headers);
  const text = response.status === 204 ? 'null' : await response.text();
  try {
    // The one place where a response gets its type.
    return JSON.parse(text) as Response;
  } catch {
    throw new ApiProblem(response.status, { title: 'The response is not JSON' });
  }
}

export function getApi<Response>(path: string, signal?: AbortSignal): Promise<Response> {
  return callApi<Response>('GET', path, signal === undefined ? {} : { signal });
}

/** Reads who is signed in, when the page starts and after an event stream ended. */
export async function loadSession(): Promise<void> {
  const info = await getApi<ApiSession>('/v1/session');
  sessionState.value = { kind: 'signed-in', info };
}

/** Ends the session of this browser. */
export async function signOut(): Promise<void> {
  await callApi('DELETE', '/v1/session');
  sessionState.value = { kind: 'signed-out', reason: undefined };
}

/** A path with a query; values that are empty or undefined are left out. */
export function withQuery(
  path: string,
  query: Readonly<Record<string, string | number | boolean | undefined>>,
): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== '') params.set(name, String(value));
  }
  const text = params.toString();
  return text === '' ? path : `${path}?${text}`;
}

/** Any error as a problem. */
export function problemFrom(error: unknown): ApiProblem {
  if (error instanceof ApiProblem) return error;
  const detail = error instanceof Error ? error.message : String(error);
  return new ApiProblem(0, { title: 'Something went wrong in this page', detail });
}

async function send(method: Method, path: string, options: CallOptions): Promise<Response> {
  const { body, text, signal } = options;
  const headers: Record<string, string> = { accept: 'application/json', ...options.headers };
  if (text !== undefined) headers['content-type'] = text.type;
  else if (body !== undefined) headers['content-type'] = 'application/json';
  const state = sessionState.value;
  const csrf = state.kind === 'signed-in' ? state.info.csrf : null;
  if (csrf !== null && method !== 'GET') headers['x-csrf-token'] = csrf;
  try {
    return await fetch(path, {
      method,
      headers,
      ...(text !== undefined
        ? { body: text.content }
        : body === undefined
          ? {}
          : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (error) {
    if (signal?.aborted === true) throw error;
    throw new ApiProblem(0, {
      title: 'The service cannot be reached',
      advice: 'Check that it is running. The page connects again by itself.',
      code: 'unreachable',
    });
  }
}

function signedOut(problem: ApiProblem): never {
  // Several calls can fail at once; the first one says why.
  if (sessionState.value.kind === 'signed-out') throw problem;
  const wasSignedIn = sessionState.value.kind === 'signed-in';
  sessionState.value = {
    kind: 'signed-out',
    reason: wasSignedIn ? 'Your session has ended. Sign in again.' : undefined,
  };
  throw problem;
}

async function problemOf(response: Response): Promise<ApiProblem> {
  const body: unknown = await response.json().catch(() => ({}));
  return new ApiProblem(response.status, isRecord(body) ? body : {});
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
