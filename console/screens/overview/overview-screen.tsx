/** The first page: what needs a person, and the fleet in numbers. */
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { listenLive } from '../../api/live-feed.ts';
import type { ApiBrokers, ApiMetricsPoint, ApiStats, ApiStatus } from '../../api/api-types.ts';
import { useResource } from '../../api/use-resource.ts';
import { AuditTable } from '../../parts/audit-table.tsx';
import { LinePlot } from '../../parts/line-plot.tsx';
import { ProblemText } from '../../parts/notices.tsx';
import { PageLink } from '../../parts/page-link.tsx';
import { Badge, CopyText, Empty, formatCount, Panel } from '../../parts/small-parts.tsx';
import { TimeText } from '../../parts/time-text.tsx';
import { attentionItems } from './attention-items.ts';

const statsEveryMs = 15_000;
const statusEveryMs = 60_000;
const auditLines = 12;
/** At least this long between two readings that an event causes. */
const reloadPauseMs = 2000;

export function OverviewScreen(): JSX.Element {
  const stats = useResource((client) => client.getStats(), statsEveryMs);
  const status = useResource((client) => client.getStatus(), statusEveryMs);
  const audit = useResource((client) => client.queryAudit({ query: { limit: auditLines } }));
  const reloadAll = useRef<() => void>(() => undefined);
  reloadAll.current = () => {
    stats.reload();
    audit.reload();
  };
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const soon = (): void => {
      timer ??= setTimeout(() => {
        timer = undefined;
        reloadAll.current();
      }, reloadPauseMs);
    };
    const ends = [
      listenLive('audit', soon),
      listenLive('brokers', soon),
      listenLive('presence', soon),
    ];
    return () => {
      clearTimeout(timer);
      for (const end of ends) end();
    };
  }, []);
  const { data } = stats;
  return (
    <>
      <h1>Overview</h1>
      <ProblemText problem={stats.problem} />
      {data === undefined ? (
        <p class="loading">Loading…</p>
      ) : (
        <>
          <Tiles stats={data} />
          <div class="columns">
            <div>
              <Attention stats={data} status={status.data} />
              <CertificateBars certificates={data.certificates} />
            </div>
            <div>
              <LiveNumbers />
              <BrokerList brokers={data.brokers} />
            </div>
          </div>
        </>
      )}
      <Panel title="Latest changes" aside={<PageLink to="audit">All of the audit log</PageLink>}>
        <ProblemText problem={audit.problem} />
        {audit.data === undefined ? (
          <p class="faint">Loading…</p>
        ) : (
          <AuditTable lines={audit.data.lines} />
        )}
      </Panel>
    </>
  );
}

function Tiles({ stats }: { readonly stats: ApiStats }): JSX.Element {
  const { connected, total, byStatus } = stats.devices;
  const { enrollments, renewals, refusals, denials } = stats.lastHour;
  const tiles = [
    {
      name: 'online',
      value: formatCount(connected),
      note: `of ${formatCount(total)} devices`,
      to: 'devices?online=true',
    },
    {
      name: 'locked out',
      value: formatCount(byStatus.suspended + byStatus.revoked + byStatus.quarantined),
      note: `${byStatus.suspended} suspended, ${byStatus.revoked} revoked`,
      to: 'devices?status=suspended',
    },
    {
      name: 'enrolled in the last hour',
      value: formatCount(enrollments),
      note: `${formatCount(renewals)} renewals`,
      to: 'devices?sort=-created',
    },
    {
      name: 'connections refused',
      value: formatCount(refusals),
      note: 'in the last hour',
      to: 'audit?action=access-refused',
    },
    {
      name: 'denied by the policy',
      value: formatCount(denials),
      note: 'in the last hour',
      to: 'audit?action=access-refused',
    },
  ];
  return (
    <ul class="tiles">
      {tiles.map(({ name, value, note, to }) => (
        <li key={name}>
          <PageLink to={to}>
            <span class="name">{name}</span>
            <strong>{value}</strong>
            <span class="note">{note}</span>
          </PageLink>
        </li>
      ))}
    </ul>
  );
}

function Attention({
  stats,
  status,
}: {
  readonly stats: ApiStats;
  readonly status: ApiStatus | undefined;
}): JSX.Element {
  const items = attentionItems(stats, status);
  return (
    <Panel title="Needs a person" class="attention">
      {items.length > 0 ? (
        <ul>
          {items.map(({ key, tone, title, detail, to, command }) => (
            <li key={key} class={tone}>
              <p>
                <strong>{title}</strong>
                {to === undefined ? null : (
                  <>
                    {' '}
                    <PageLink to={to.path}>{to.label}</PageLink>
                  </>
                )}
              </p>
              <p class="faint">{detail}</p>
              {command === undefined ? null : <CopyText text={command} />}
            </li>
          ))}
        </ul>
      ) : stats.devices.total === 0 ? (
        <Empty title="There is no device yet.">
          <p>
            <PageLink to="enrollment">Create a token</PageLink> for the first one, or run on the
            machine of the service:
          </p>
          <CopyText text="flotilla device enroll --id first-device --out first-device" />
        </Empty>
      ) : (
        <Empty title="Nothing. All checks are good." />
      )}
    </Panel>
  );
}

const plotted = [
  ['Connections', '', 'connections'],
  ['Messages in', 'per second', 'messagesInPerSecond'],
  ['Messages out', 'per second', 'messagesOutPerSecond'],
] as const;
const plotPointsMax = 720;

function LiveNumbers(): JSX.Element {
  const history = useResource((client) => client.getMetricsHistory({ query: { seconds: 3600 } }));
  const [later, setLater] = useState<readonly ApiMetricsPoint[]>([]);
  useEffect(
    () =>
      listenLive('metrics', (point) => setLater((all) => [...all, point].slice(-plotPointsMax))),
    [],
  );
  const read = history.data?.points ?? [];
  const lastRead = read.at(-1)?.at ?? '';
  const points = [...read, ...later.filter(({ at }) => at > lastRead)].slice(-plotPointsMax);
  const atMs = points.map(({ at }) => Date.parse(at));
  return (
    <Panel title="Traffic">
      {plotted.map(([label, unit, field]) => (
        <LinePlot
          key={field}
          label={label}
          unit={unit}
          atMs={atMs}
          lines={[{ name: label, values: points.map((point) => point[field]) }]}
        />
      ))}
    </Panel>
  );
}

const certificateRows = [
  ['ended', 'expired', 'expires=0', 'bad'],
  ['days1', 'within a day', 'expires=86400', 'warn'],
  ['days7', '1 to 7 days', 'expires=604800', 'good'],
  ['days30', '7 to 30 days', 'expires=2592000', 'good'],
  ['days90', '30 to 90 days', 'expires=7776000', 'good'],
  ['later', 'later', 'sort=-expires', 'good'],
] as const;

function CertificateBars({
  certificates,
}: {
  readonly certificates: ApiStats['certificates'];
}): JSX.Element {
  const most = Math.max(1, ...certificateRows.map(([field]) => certificates[field]));
  return (
    <Panel title="Certificates end">
      <ul class="bars">
        {certificateRows.map(([field, label, query, tone]) => (
          <li key={field}>
            <PageLink to={`devices?status=active&${query}`}>{label}</PageLink>
            <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
              <rect class="track" width="100" height="10" />
              <rect class={tone} width={(certificates[field] / most) * 100} height="10" />
            </svg>
            <span class="count">{formatCount(certificates[field])}</span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function BrokerList({ brokers }: { readonly brokers: ApiBrokers['brokers'] }): JSX.Element {
  return (
    <Panel title="Brokers">
      {brokers.length === 0 ? (
        <Empty title="No broker follows the feed yet. Start one:">
          <CopyText text="flotilla broker serve" />
        </Empty>
      ) : (
        <ul class="brokers">
          {brokers.map(({ broker, connected, changesBehind, sample, lastReportAt }) => (
            <li key={broker}>
              <strong>{broker}</strong>{' '}
              <Badge tone={connected ? 'good' : 'bad'}>
                {connected ? 'follows the feed' : 'not connected'}
              </Badge>
              <p class="faint">
                {sample === null
                  ? 'no report yet'
                  : `${formatCount(sample.connections)} connections, ${formatCount(sample.sessions)} sessions, ${formatCount(sample.queuedMessages)} queued`}
                {', '}
                {changesBehind === 0
                  ? 'up to date'
                  : `${formatCount(changesBehind)} changes behind`}
                {', report '}
                <TimeText at={lastReportAt} />
              </p>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}
