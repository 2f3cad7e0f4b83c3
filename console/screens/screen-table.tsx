/** Which screen a path shows. @module */
import type { JSX } from 'preact';
import type { ConsoleScreen } from '../parts/console-screen.ts';
import { PageLink } from '../parts/page-link.tsx';
import { Empty } from '../parts/small-parts.tsx';
import { DeviceListScreen } from './device-list/device-list-screen.tsx';
import { DeviceScreen } from './device/device-screen.tsx';
import { OverviewScreen } from './overview/overview-screen.tsx';

export const screens: readonly ConsoleScreen[] = [
  { path: '', title: 'Overview', letter: 'o' },
  { path: 'devices', title: 'Devices', letter: 'd' },
];

export function screenOf(path: string): JSX.Element {
  const [first = '', second] = path.split('/');
  if (first === 'devices' && second !== undefined) {
    const id = decoded(second);
    return <DeviceScreen key={id} id={id} />;
  }
  switch (first) {
    case '':
      return <OverviewScreen />;
    case 'devices':
      return <DeviceListScreen />;
    default:
      return (
        <Empty title="There is no such page.">
          <p>
            Go to the <PageLink to="">overview</PageLink>.
          </p>
        </Empty>
      );
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
