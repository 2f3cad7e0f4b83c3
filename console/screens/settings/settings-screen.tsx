/** Operators and API keys. @module */
import type { JSX } from 'preact';
import { hasRole, sessionState } from '../../api/session-state.ts';
import { Facts, Panel } from '../../parts/small-parts.tsx';
import { TimeText } from '../../parts/time-text.tsx';
import { KeyList } from './key-list.tsx';
import { OperatorList } from './operator-list.tsx';

const ways = {
  certificate: 'client certificate',
  session: 'link or identity provider',
  key: 'API key',
};

export function SettingsScreen(): JSX.Element {
  const state = sessionState.value;
  return (
    <>
      <h1>Settings</h1>
      {state.kind !== 'signed-in' ? null : (
        <Panel title="You">
          <Facts
            rows={[
              ['Name', state.info.operator],
              ['Role', state.info.role],
              ['Signed in with', ways[state.info.via]],
              [
                'Session ends',
                state.info.expiresAt === null ? (
                  'with the program flotilla console'
                ) : (
                  <TimeText key="ends" at={state.info.expiresAt} />
                ),
              ],
            ]}
          />
        </Panel>
      )}
      {hasRole('admin') ? <OperatorList /> : null}
      <KeyList />
    </>
  );
}
