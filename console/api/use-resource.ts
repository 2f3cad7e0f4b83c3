/** Reads one path of the API for a component. @module */
import { useCallback, useEffect, useState } from 'preact/hooks';
import { getApi, problemFrom, type ApiProblem } from './call-api.ts';
import { reloadCount } from './live-feed.ts';

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

/**
 * @param path undefined: nothing is read
 * @param everyMs reads it again after each period, while the page is visible
 */
export function useResource<Data>(path: string | undefined, everyMs?: number): Resource<Data> {
  const [turn, setTurn] = useState(0);
  const [state, setState] = useState<ResourceState<Data>>({
    data: undefined,
    problem: undefined,
    isLoading: true,
  });
  const reload = useCallback(() => setTurn((before) => before + 1), []);
  const epoch = reloadCount.value;
  useEffect(() => {
    if (path === undefined) return;
    const abort = new AbortController();
    setState(({ data, problem }) => ({ data, problem, isLoading: true }));
    getApi<Data>(path, abort.signal).then(
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
