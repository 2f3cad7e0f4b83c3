/** Reads one operation of the API for a component. @module */
import { useCallback, useEffect, useState } from 'preact/hooks';
import type { ApiClient } from '../../core/protocol/api-client.ts';
import { getApi, problemFrom, type ApiProblem } from './call-api.ts';
import { reloadCount } from './live-feed.ts';
import { calledPath, pageApi } from './page-api.ts';

export interface Resource<Data> {
  /** Of the last successful call; kept while a newer one runs, so that the page does not jump. */
  readonly data: Data | undefined;
  readonly problem: ApiProblem | undefined;
  readonly isLoading: boolean;
  readonly reload: () => void;
}

interface ResourceState<Data> {
  readonly data: Data | undefined;
  readonly problem: ApiProblem | undefined;
  readonly isLoading: boolean;
}

/** Calls one operation, or a path that is not an operation of the API. */
export type ResourceSource<Data> = string | ((client: ApiClient) => Promise<Data>);

/**
 * @param source undefined: nothing is read. It is read again when its path or query changes
 * @param everyMs reads it again after each period, while the page is visible
 */
export function useResource<Data>(
  source: ResourceSource<Data> | undefined,
  everyMs?: number,
): Resource<Data> {
  const path = typeof source === 'function' ? calledPath(source) : source;
  const [turn, setTurn] = useState(0);
  const [state, setState] = useState<ResourceState<Data>>({
    data: undefined,
    problem: undefined,
    isLoading: true,
  });
  const reload = useCallback(() => setTurn((before) => before + 1), []);
  const epoch = reloadCount.value;
  useEffect(() => {
    if (source === undefined) return;
    const abort = new AbortController();
    setState(({ data, problem }) => ({ data, problem, isLoading: true }));
    const reading =
      typeof source === 'function'
        ? source(pageApi(abort.signal))
        : getApi<Data>(source, abort.signal);
    reading.then(
      (data) => {
        if (!abort.signal.aborted) setState({ data, problem: undefined, isLoading: false });
      },
      (error: unknown) => {
        if (abort.signal.aborted) return;
        setState(({ data }) => ({ data, problem: problemFrom(error), isLoading: false }));
      },
    );
    return () => abort.abort();
  }, [path, turn, epoch]);
  useEffect(() => {
    if (everyMs === undefined) return;
    const timer = setInterval(() => {
      if (!document.hidden) reload();
    }, everyMs);
    return () => clearInterval(timer);
  }, [everyMs, reload]);
  return { ...state, reload };
}
