/** The start of the web console. @module */
import { render } from 'preact';
import { loadSession } from './api/call-api.ts';
import { sessionState } from './api/session-state.ts';
import { ConsoleShell } from './parts/console-shell.tsx';
import { applyTheme } from './parts/theme.tsx';
import { screenOf, screens } from './screens/screen-table.tsx';

applyTheme();
const root = document.getElementById('app');
if (root !== null) render(<ConsoleShell screens={screens} screenOf={screenOf} />, root);
loadSession().catch(() => {
  if (sessionState.value.kind !== 'loading') return;
  // The service could not answer at all; the sign-in page says so and can try again.
  sessionState.value = { kind: 'signed-out', reason: 'The service cannot be reached.' };
});
