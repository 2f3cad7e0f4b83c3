/** The frame around all screens: navigation, search, the state of the connection, keyboard. @module */
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { signOut } from '../api/call-api.ts';
import { feedState, openLiveFeed } from '../api/live-feed.ts';
import { sessionState, type SessionState } from '../api/session-state.ts';
import type { ConsoleScreen } from './console-screen.ts';
import { goTo, pageLocation } from './browser-location.ts';
import { KeyboardHelp } from './keyboard-help.tsx';
import { NoticeList, notifyFailure } from './notices.tsx';
import { PageLink } from './page-link.tsx';
import { SignInPage } from './sign-in.tsx';
import { ThemeSelect } from './theme.tsx';
import { timeFromNow, currentMs } from './time-text.tsx';

export interface ConsoleShellProps {
  readonly screens: readonly ConsoleScreen[];
  readonly screenOf: (path: string) => JSX.Element;
}

export function ConsoleShell({ screens, screenOf }: ConsoleShellProps): JSX.Element {
  const state = sessionState.value;
  if (state.kind === 'loading') return <p class="loading">Loading…</p>;
  if (state.kind === 'signed-out') return <SignInPage reason={state.reason} />;
  return <SignedIn screens={screens} screenOf={screenOf} info={state.info} />;
}

interface SignedInProps extends ConsoleShellProps {
  readonly info: Extract<SessionState, { kind: 'signed-in' }>['info'];
}

function SignedIn({ screens, screenOf, info }: SignedInProps): JSX.Element {
  const { path } = pageLocation.value;
  const search = useRef<HTMLInputElement>(null);
  const [isHelpOpen, setHelpOpen] = useState(false);
  const [isMenuOpen, setMenuOpen] = useState(false);
  useEffect(openLiveFeed, []);
  useShortcuts(screens, search, () => setHelpOpen(true));
  const current = screens.find((screen) => screen.path === (path.split('/')[0] ?? ''));
  useEffect(() => {
    document.title = current === undefined ? 'Flotilla' : `${current.title} – Flotilla`;
    setMenuOpen(false);
  }, [current, path]);
  return (
    <div class="shell">
      <a class="skip" href="#main">
        Skip to content
      </a>
      <header class="top">
        <button
          type="button"
          class="menu"
          aria-expanded={isMenuOpen}
          aria-controls="navigation"
          onClick={() => setMenuOpen(!isMenuOpen)}
        >
          Menu
        </button>
        <PageLink to="" class="brand">
          Flotilla
        </PageLink>
        <form
          role="search"
          onSubmit={(event) => {
            event.preventDefault();
            const text = search.current?.value.trim() ?? '';
            goTo(text === '' ? 'devices' : `devices?search=${encodeURIComponent(text)}`);
          }}
        >
          <input
            ref={search}
            type="search"
            aria-label="Search devices"
            placeholder="Search devices (press /)"
            maxLength={128}
          />
        </form>
        <AccountMenu operator={info.operator} role={info.role} help={() => setHelpOpen(true)} />
      </header>
      <nav id="navigation" class={isMenuOpen ? 'open' : ''} aria-label="Screens">
        {screens.map((screen) => (
          <PageLink key={screen.path} to={screen.path} isCurrent={screen === current}>
            {screen.title}
          </PageLink>
        ))}
        <ThemeSelect />
      </nav>
      <main id="main" tabIndex={-1}>
        <LostBanner />
        {screenOf(path)}
      </main>
      <NoticeList />
      {isHelpOpen ? <KeyboardHelp screens={screens} close={() => setHelpOpen(false)} /> : null}
    </div>
  );
}

function AccountMenu({
  operator,
  role,
  help,
}: {
  readonly operator: string;
  readonly role: string;
  readonly help: () => void;
}): JSX.Element {
  const leave = (): void => {
    signOut().catch(notifyFailure);
  };
  return (
    <div class="account">
      <span class="who">
        {operator} <small>{role}</small>
      </span>
      <button type="button" class="help" aria-label="Keyboard shortcuts" onClick={help}>
        ?
      </button>
      <button type="button" onClick={leave}>
        Sign out
      </button>
    </div>
  );
}

function LostBanner(): JSX.Element | null {
  const state = feedState.value;
  if (state.kind !== 'lost') return null;
  return (
    <div class="banner" role="alert">
      Connection to the service lost {timeFromNow(state.sinceMs, currentMs.value)}. What you see is
      from before. The page connects again by itself.
    </div>
  );
}

/** `/` searches, `?` shows the shortcuts, `g` and a letter opens a screen. */
function useShortcuts(
  screens: readonly ConsoleScreen[],
  search: { readonly current: HTMLInputElement | null },
  help: () => void,
): void {
  useEffect(() => {
    let isGoing = false;
    const pressed = (event: KeyboardEvent): void => {
      const { target, key } = event;
      const isTyping =
        target instanceof HTMLElement && target.closest('input,textarea,select,dialog') !== null;
      if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
      const screen = isGoing ? screens.find(({ letter }) => letter === key) : undefined;
      isGoing = key === 'g';
      if (screen !== undefined) goTo(screen.path);
      else if (key === '?') help();
      else if (key === '/') {
        event.preventDefault();
        search.current?.focus();
        search.current?.select();
      }
    };
    document.addEventListener('keydown', pressed);
    return () => document.removeEventListener('keydown', pressed);
  }, []);
}
