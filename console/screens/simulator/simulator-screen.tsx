/** Simulations: start a plan, watch it, read and compare reports. @module */
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { ApiSimulationEvent, ApiSimulator } from '../../api/api-types.ts';
import { listenLive } from '../../api/live-feed.ts';
import { hasRole } from '../../api/session-state.ts';
import { useResource } from '../../api/use-resource.ts';
import { ProblemText } from '../../parts/notices.tsx';
import { CopyText, Empty, Panel } from '../../parts/small-parts.tsx';
import { LiveRun } from './live-run.tsx';
import { NewRun } from './new-run.tsx';
import { RunList } from './run-list.tsx';

/** As many seconds as the service keeps. */
const pointsMax = 600;

export function SimulatorScreen(): JSX.Element {
  const { data, problem, reload } = useResource((client) => client.getSimulator());
  const [event, setEvent] = useState<ApiSimulationEvent>();
  const [later, setLater] = useState<LivePoints>({ id: '', points: [] });
  useEffect(
    () =>
      listenLive('simulation', (next) => {
        setEvent(next);
        const point = next.progress?.point;
        if (point != null) setLater((before) => withPoint(before, next.run.id, point));
        if (next.progress === null || next.run.endedAt !== null) reload();
      }),
    [reload],
  );
  const live = data?.live ?? null;
  const run =
    live === null
      ? undefined
      : ((event?.run.id === live.id ? event.run : undefined) ??
        data?.runs.find(({ id }) => id === live.id));
  return (
    <>
      <h1>Simulator</h1>
      <ProblemText problem={problem} />
      {data === undefined ? <p class="loading">Loading…</p> : null}
      {data?.available === false ? <HowToRun /> : null}
      {live === null || run === undefined ? null : (
        <LiveRun
          run={run}
          progress={(event?.run.id === live.id ? event.progress : null) ?? live.progress}
          points={joined(live.points, later.id === live.id ? later.points : [])}
        />
      )}
      {data?.available === true && live === null && hasRole('admin') ? (
        <NewRun samples={data.samples} devicesMax={data.devicesMax} started={reload} />
      ) : null}
      {data === undefined ? null : <RunList runs={data.runs} changed={reload} />}
    </>
  );
}

type Points = NonNullable<ApiSimulator['live']>['points'];
interface LivePoints {
  readonly id: string;
  readonly points: Points;
}

function withPoint(before: LivePoints, id: string, point: Points[number]): LivePoints {
  if (before.id !== id) return { id, points: [point] };
  if (before.points.at(-1)?.atMs === point.atMs) return before;
  return { id, points: [...before.points, point].slice(-pointsMax) };
}

/** What was read, and what came after it. */
function joined(read: Points, later: Points): Points {
  const lastMs = read.at(-1)?.atMs ?? -1;
  return [...read, ...later.filter(({ atMs }) => atMs > lastMs)].slice(-pointsMax);
}

function HowToRun(): JSX.Element {
  return (
    <Panel title="Run a simulation">
      <Empty title="This service does not start the simulator.">
        <p>
          A service that <code>flotilla up</code> started can. For this one, run the simulator in a
          terminal, on a machine that reaches the broker and has the administrator's certificate:
        </p>
        <CopyText text="flotilla sim init plan.yaml" />
        <CopyText text="flotilla sim run plan.yaml --report report" />
      </Empty>
    </Panel>
  );
}
