/** One device: its state, what can be done with it, and the parts below. @module */
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { ApiDevice } from '../../api/api-types.ts';
import { listenLive } from '../../api/live-feed.ts';
import { useResource } from '../../api/use-resource.ts';
import { changeQuery, pageLocation } from '../../parts/browser-location.ts';
import { ProblemText } from '../../parts/notices.tsx';
import { PageLink } from '../../parts/page-link.tsx';
import { Empty, Facts, OnlineMark, Panel, StatusBadge } from '../../parts/small-parts.tsx';
import { TimeText } from '../../parts/time-text.tsx';
import { CertificateTimeline } from './certificate-timeline.tsx';
import { ConnectSnippets } from './connect-snippets.tsx';
import { DeniedActions } from './denied-actions.tsx';
import { DeviceActionBar } from './device-action-bar.tsx';
import { DeviceHistory } from './device-history-list.tsx';
import { DeviceMessages } from './device-messages.tsx';
import { LiveConnections } from './live-connections.tsx';

const views = ['summary', 'history', 'messages', 'connect'] as const;

export function DeviceScreen({ id }: { readonly id: string }): JSX.Element {
  const device = useResource((client) => client.getDevice({ id }));
  const reload = useRef(device.reload);
  useEffect(() => {
    const ends = [
      listenLive('audit', (line) => {
        if (line.device === id) reload.current();
      }),
      listenLive('presence', ({ changes }) => {
        if (changes.some((change) => change.device === id)) reload.current();
      }),
    ];
    return () => {
      for (const end of ends) end();
    };
  }, [id]);
  const { data, problem } = device;
  if (problem?.code === 'device-not-found') {
    return (
      <Empty title={`There is no device ${id}.`}>
        <p>
          It may have been deleted. The{' '}
          <PageLink to={`audit?device=${encodeURIComponent(id)}`}>audit log</PageLink> says when and
          by whom. Go to <PageLink to="devices">all devices</PageLink>.
        </p>
      </Empty>
    );
  }
  return (
    <>
      <p class="crumbs">
        <PageLink to="devices">Devices</PageLink>
      </p>
      <div class="title-row">
        <h1 class="id">{id}</h1>
        {data === undefined ? null : (
          <>
            <StatusBadge status={data.status} />
            <OnlineMark isOnline={data.connected} />
          </>
        )}
      </div>
      <ProblemText problem={problem} />
      {data === undefined ? (
        <p class="loading">Loading…</p>
      ) : (
        <>
          <DeviceActionBar device={data} changed={device.reload} />
          <ViewTabs />
          <DeviceView device={data} />
        </>
      )}
    </>
  );
}

function currentView(): (typeof views)[number] {
  const chosen = pageLocation.value.query.get('view');
  return views.find((view) => view === chosen) ?? 'summary';
}

function ViewTabs(): JSX.Element {
  const current = currentView();
  return (
    <div class="tabs" role="tablist" aria-label="Parts of this page">
      {views.map((view) => (
        <button
          key={view}
          type="button"
          role="tab"
          aria-selected={view === current}
          onClick={() => changeQuery({ view: view === 'summary' ? undefined : view })}
        >
          {view}
        </button>
      ))}
    </div>
  );
}

function DeviceView({ device }: { readonly device: ApiDevice }): JSX.Element {
  switch (currentView()) {
    case 'history':
      return <DeviceHistory id={device.id} />;
    case 'messages':
      return <DeviceMessages device={device} />;
    case 'connect':
      return <ConnectSnippets id={device.id} />;
    case 'summary':
      return (
        <div class="columns">
          <div>
            <Panel title="About">
              <Facts
                rows={[
                  ['Role', device.role],
                  ['Group', device.group ?? <span class="faint">none</span>],
                  ['Created', <TimeText key="created" at={device.createdAt} />],
                  ['Last seen', <TimeText key="seen" at={device.lastSeenAt} />],
                  ...Object.entries(device.attributes).map(
                    ([name, value]) => [name, value] as const,
                  ),
                ]}
              />
            </Panel>
            <CertificateTimeline certificates={device.certificates} />
          </div>
          <div>
            <LiveConnections id={device.id} isConnected={device.connected} />
            <DeniedActions device={device} />
          </div>
        </div>
      );
  }
}
