/** Reads a list page by page for a component. @module */
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import type { ApiClient } from '../../core/protocol/api-client.ts';
import { problemFrom, type ApiProblem } from './call-api.ts';
import { reloadCount } from './live-feed.ts';
import { calledPath, pageApi } from './page-api.ts';

export interface Pages<Page> {
  readonly pages: readonly Page[];
  readonly problem: ApiProblem | undefined;
  readonly isLoading: boolean;
  readonly hasMore: boolean;
  readonly loadMore: () => void;
  /** Reads the first page again; the other pages are dropped. */
  readonly reload: () => void;
}

interface PagesState<Page> {
  readonly pages: readonly Page[];
  readonly next: string | null;
  readonly problem: ApiProblem | undefined;
  readonly isLoading: boolean;
}

export interface ListPage {
  readonly next: string | null;
}

/** An answer can be short, or empty, and have a next page; so many are read at once for one click. */
const emptyPagesMax = 20;

/** Calls one operation. @param after where the page begins; undefined: the first page */
export type PageReader<Page> = (client: ApiClient, after: string | undefined) => Promise<Page>;

/** Reads the first page again when its path or query changes. */
export function usePages<Page extends ListPage>(
  reader: PageReader<Page>,
  isEmpty: (page: Page) => boolean,
): Pages<Page> {
  const path = calledPath((client) => reader(client, undefined));
  const [state, setState] = useState<PagesState<Page>>({
    pages: [],
    next: null,
    problem: undefined,
    isLoading: true,
  });
  const [turn, setTurn] = useState(0);
  const reading = useRef<AbortController>(undefined);
  const epoch = reloadCount.value;
  const read = useCallback(
    async (after: string | undefined) => {
      reading.current?.abort();
      const abort = new AbortController();
      reading.current = abort;
      setState((before) => ({ ...before, isLoading: true }));
      try {
        const page = await readPage(reader, after, isEmpty, abort.signal);
        if (abort.signal.aborted) return;
        setState((before) => ({
          pages: after === undefined ? [page] : [...before.pages, page],
          next: page.next,
          problem: undefined,
          isLoading: false,
        }));
      } catch (error) {
        if (abort.signal.aborted) return;
        setState((before) => ({ ...before, problem: problemFrom(error), isLoading: false }));
      }
    },
    [path],
  );
  useEffect(() => {
    void read(undefined);
    return () => reading.current?.abort();
  }, [read, turn, epoch]);
  const { next } = state;
  return {
    pages: state.pages,
    problem: state.problem,
    isLoading: state.isLoading,
    hasMore: next !== null,
    loadMore: () => {
      if (next !== null && !state.isLoading) void read(next);
    },
    reload: useCallback(() => setTurn((before) => before + 1), []),
  };
}

/** One page with items, after at most some without. */
async function readPage<Page extends ListPage>(
  reader: PageReader<Page>,
  after: string | undefined,
  isEmpty: (page: Page) => boolean,
  signal: AbortSignal,
): Promise<Page> {
  let cursor = after;
  for (let turns = 0; ; turns++) {
    const page: Page = await reader(pageApi(signal), cursor);
    if (!isEmpty(page) || page.next === null || turns >= emptyPagesMax) return page;
    cursor = page.next;
  }
}
