/** The address of the page, and navigation without a reload. @module */
import { signal } from '@preact/signals';

export interface PageLocation {
  /** Below `/console/`, without a slash at its ends, still encoded. */
  readonly path: string;
  readonly query: URLSearchParams;
}

export const consoleBase = '/console/';

export const pageLocation = signal<PageLocation>(read());

/** Goes to another page of the console, as a link does. */
export function goTo(path: string): void {
  history.pushState(null, '', consoleBase + path);
  pageLocation.value = read();
  window.scrollTo(0, 0);
}

/** Changes parts of the query in place: filters stay in the address without filling the history. */
export function changeQuery(changes: Readonly<Record<string, string | undefined>>): void {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined || value === '') query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  history.replaceState(null, '', location.pathname + (text === '' ? '' : `?${text}`));
  pageLocation.value = read();
}

window.addEventListener('popstate', () => {
  pageLocation.value = read();
});

function read(): PageLocation {
  const path = location.pathname.startsWith(consoleBase)
    ? location.pathname.slice(consoleBase.length)
    : '';
  return { path: path.replace(/\/+$/, ''), query: new URLSearchParams(location.search) };
}
