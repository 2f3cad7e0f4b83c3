import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { api } from '../../api/page-api.ts';
import type { ApiSimulationProgress, ApiSimulationRun } from '../../api/api-types.ts';
import { hasRole } from '../../api/session-state.ts';
import { ActionDialog } from '../../parts/action-dialog.tsx';
import { LinePlot } from '../../parts/line-plot.tsx';
import { formatCount, Panel } from '../../parts/small-parts.tsx';

type LivePoint = NonNullable<NonNullable<ApiSimulationProgress>['point']>;

export interface LiveRunProps {
  readonly run: ApiSimulationRun;
  readonly progress: ApiSimulationProgress;
  readonly points: readonly LivePoint[];
}

/** The simulation in progress. */
export function LiveRun({ run, progress, points }: LiveRunProps): JSX.Element {
  const [isStopping, setStopping] = useState(false);
  return (
    <Panel
      title={`Running: ${run.plan}`}
      aside={
        <>
          <span class="faint">
            {formatCount(run.devices)} devices, started by {run.startedBy}
          </span>
          {hasRole('admin') ? (
            <button type="button" class="danger" onClick={() => setStopping(true)}>
              Stop
            </button>
          ) : null}
        </>
      }
    >
      {progress === null ? (
        <p role="status">Starting…</p>
      ) : (
        <>
          <PhaseLine progress={progress} />
          <StateBar progress={progress} />
          <Totals progress={progress} />
        </>
      )}
      <LivePlots points={points} />
      {isStopping ? (
        <ActionDialog
          title={`Stop ${run.plan}`}
          action="Stop"
          close={() => setStopping(false)}
          run={async () => {
            await api.stopSimulation({ id: run.id });
          }}
        >
          <p>The devices disconnect. The report of what was measured until now is kept.</p>
        </ActionDialog>
      ) : null}
    </Panel>
  );
}

type ShownProgress = NonNullable<ApiSimulationProgress>;

function PhaseLine({ progress }: { readonly progress: ShownProgress }): JSX.Element {
  const { phases, atMs } = progress;
  return (
    <p role="status">
      <strong>{elapsed(atMs)}</strong>{' '}
      {phases.length === 0
        ? 'between phases'
        : phases
            .map(({ name, sinceMs, ofMs }) =>
              ofMs === null ? name : `${name} (${elapsed(atMs - sinceMs)} of ${elapsed(ofMs)})`,
            )
            .join(' and ')}
    </p>
  );
}

const stateTones = [
  ['online', 'good'],
  ['connecting', 'warn'],
  ['enrolled', 'idle'],
  ['offline', 'warn'],
  ['failed', 'bad'],
  ['new', 'track'],
] as const;

function StateBar({ progress }: { readonly progress: ShownProgress }): JSX.Element {
  const { states, planned } = progress;
  let x = 0;
  return (
    <div class="states">
      <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
        {stateTones.map(([state, tone]) => {
          const width = ((states[state] ?? 0) / Math.max(1, planned)) * 100;
          x += width;
          return <rect key={state} class={tone} x={x - width} width={width} height="8" />;
        })}
      </svg>
      <p>
        {stateTones
          .filter(([state]) => (states[state] ?? 0) > 0)
          .map(([state]) => `${formatCount(states[state] ?? 0)} ${state}`)
          .join(', ')}
      </p>
    </div>
  );
}

function Totals({ progress }: { readonly progress: ShownProgress }): JSX.Element {
  const { totals, errors } = progress;
  const failures = Object.entries(errors);
  return (
    <>
      <p class="faint">
        {formatCount(totals.enrolled)} enrolled, {formatCount(totals.published)} messages sent,{' '}
        {formatCount(totals.delivered)} received, {formatCount(totals.duplicated)} duplicated
      </p>
      {failures.length === 0 ? null : (
        <p class="bad wrap">
          {failures
            .slice(0, 5)
            .map(([reason, count]) => `${reason}: ${formatCount(count)}`)
            .join(', ')}
        </p>
      )}
    </>
  );
}

function LivePlots({ points }: { readonly points: readonly LivePoint[] }): JSX.Element {
  const series = useMemo(
    () => ({
      atMs: points.map(({ atMs }) => atMs),
      rates: [
        { name: 'sent', values: points.map((point) => point.publishedPerSecond) },
        { name: 'received', values: points.map((point) => point.deliveredPerSecond) },
      ],
      latency: [
        { name: 'median', values: points.map((point) => point.endToEndP50Ms) },
        { name: '99 %', values: points.map((point) => point.endToEndP99Ms) },
      ],
      online: [{ name: 'online', values: points.map((point) => point.online) }],
    }),
    [points],
  );
  const { atMs } = series;
  return (
    <div class="plots">
      <LinePlot isElapsed label="Connected" unit="devices" atMs={atMs} lines={series.online} />
      <LinePlot isElapsed label="Messages" unit="per second" atMs={atMs} lines={series.rates} />
      <LinePlot
        isElapsed
        label="From publisher to subscriber"
        unit="ms"
        atMs={atMs}
        lines={series.latency}
      />
    </div>
  );
}

/** "1:05". */
export function elapsed(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}
