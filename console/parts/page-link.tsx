import type { ComponentChildren, JSX } from 'preact';
import { consoleBase, goTo } from './browser-location.ts';

export interface PageLinkProps {
  /** Below `/console/`. */
  readonly to: string;
  readonly children: ComponentChildren;
  readonly class?: string;
  readonly isCurrent?: boolean;
}

/** A link to another page of the console. */
export function PageLink({ to, children, class: name, isCurrent }: PageLinkProps): JSX.Element {
  const follow = (event: MouseEvent): void => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    goTo(to);
  };
  return (
    <a
      href={consoleBase + to}
      onClick={follow}
      {...(name === undefined ? {} : { class: name })}
      {...(isCurrent === true ? { 'aria-current': 'page' as const } : {})}
    >
      {children}
    </a>
  );
}

/** The page of one device. */
export function devicePath(id: string): string {
  return `devices/${encodeURIComponent(id)}`;
}
