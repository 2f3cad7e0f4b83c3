import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { ApiHistoryEntry } from '../../api/api-types.ts';
import { listenLive } from '../../api/live-feed.ts';
import { usePages } from '../../api/use-pages.ts';
import { detailText } from '../../parts/audit-table.tsx';
import { ProblemText } from '../../parts/notices.tsx';
import { Badge, Empty, Panel, type Tone } from '../../parts/small-parts.tsx';
import { TimeText } from '../../parts/time-text.tsx';

const tones: Readonly<Record<ApiHistoryEntry['kind'], Tone>> = {
  issued: 'good',
  renewed: 'good',
  seen: 'idle',
  retired: 'idle',
  revoked: 'bad',
  suspended: 'warn',
  resumed: 'good',
  changed: 'idle',
  refused: 'bad',
  denied: 'bad',
  incident: 'bad',
  connected: 'good',
  disconnected: 'idle',
  other: 'idle',
};

/** Everything that happened to a device, newest first. */
export function DeviceHistory({ id }: { readonly id: string }): JSX.Element {
  const pages = usePages(
    (client, after) => client.getDeviceHistory({ id, query: { limit: 50, after } }),
    ({ entries }) => entries.length === 0,
  );
  const entries = pages.pages.flatMap((page) => page.entries);
  const reload = useRef(pages.reload);
  reload.current = pages.reload;
  useEffect(() => {
    const ends = [
      listenLive('audit', (line) => {
        if (line.device === id) reload.current();
      }),
      listenLive('presence', ({ changes }) => {
        if (changes.some(({ device }) => device === id)) reload.current();
      }),
    ];
    return () => {
      for (const end of ends) end();
    };
  }, [id]);
  return (
    <Panel title="History">
      <ProblemText problem={pages.problem} />
      {entries.length === 0 && !pages.isLoading ? <Empty title="Nothing happened yet." /> : null}
      <ol class="history">
        {entries.map((entry, at) => (
          <li key={`${entry.at} ${entry.kind} ${at}`}>
            <TimeText at={entry.at} isAbsolute />
            <Badge tone={tones[entry.kind]}>{entry.kind}</Badge>
            <span class="wrap">
              {detailText(entry.detail, entry.remoteAddress)}
              {entry.actor === undefined || entry.actor === id ? null : (
                <span class="faint"> by {entry.actor}</span>
              )}
            </span>
          </li>
        ))}
      </ol>
      {pages.hasMore ? (
        <button type="button" disabled={pages.isLoading} onClick={pages.loadMore}>
          Show older entries
        </button>
      ) : null}
    </Panel>
  );
}
