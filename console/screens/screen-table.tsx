/** Which screen a path shows. @module */
import type { JSX } from 'preact';
import type { ConsoleScreen } from '../parts/console-screen.ts';
import { PageLink } from '../parts/page-link.tsx';
import { Empty } from '../parts/small-parts.tsx';
import { AuditScreen } from './audit/audit-screen.tsx';
import { AuthoritiesScreen } from './authorities/authorities-screen.tsx';
import { BrokersScreen } from './brokers/brokers-screen.tsx';
import { DeviceListScreen } from './device-list/device-list-screen.tsx';
import { DeviceScreen } from './device/device-screen.tsx';
import { EnrollmentScreen } from './enrollment/enrollment-screen.tsx';
import { OverviewScreen } from './overview/overview-screen.tsx';
import { PolicyScreen } from './policy/policy-screen.tsx';
import { SettingsScreen } from './settings/settings-screen.tsx';
import { SimulatorScreen } from './simulator/simulator-screen.tsx';
import { RunComparison } from './simulator/run-comparison.tsx';
import { RunReport } from './simulator/run-report.tsx';
import { TopicsScreen } from './topics/topics-screen.tsx';

export const screens: readonly ConsoleScreen[] = [
  { path: '', title: 'Overview', letter: 'o' },
  { path: 'devices', title: 'Devices', letter: 'd' },
  { path: 'enrollment', title: 'Enrollment', letter: 'e' },
  { path: 'policy', title: 'Policy', letter: 'p' },
  { path: 'topics', title: 'Topics', letter: 't' },
  { path: 'audit', title: 'Audit', letter: 'a' },
  { path: 'authorities', title: 'Authorities', letter: 'c' },
  { path: 'brokers', title: 'Brokers', letter: 'b' },
  { path: 'simulator', title: 'Simulator', letter: 'm' },
  { path: 'settings', title: 'Settings', letter: 's' },
];

export function screenOf(path: string): JSX.Element {
  const [first = '', second] = path.split('/');
  if (first === 'devices' && second !== undefined) {
    const id = decoded(second);
    return <DeviceScreen key={id} id={id} />;
  }
  if (first === 'simulator' && second === 'compare') return <RunComparison />;
  if (first === 'simulator' && second !== undefined) {
    const id = decoded(second);
    return <RunReport key={id} id={id} />;
  }
  switch (first) {
    case '':
      return <OverviewScreen />;
    case 'devices':
      return <DeviceListScreen />;
    case 'enrollment':
      return <EnrollmentScreen />;
    case 'policy':
      return <PolicyScreen />;
    case 'topics':
      return <TopicsScreen />;
    case 'audit':
      return <AuditScreen />;
    case 'authorities':
      return <AuthoritiesScreen />;
    case 'brokers':
      return <BrokersScreen />;
    case 'simulator':
      return <SimulatorScreen />;
    case 'settings':
      return <SettingsScreen />;
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
