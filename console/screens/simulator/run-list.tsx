import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { withQuery } from '../../api/call-api.ts';
import { api } from '../../api/page-api.ts';
import type { ApiSimulationRun } from '../../api/api-types.ts';
import { hasRole } from '../../api/session-state.ts';
import { goTo } from '../../parts/browser-location.ts';
import { notifyFailure } from '../../parts/notices.tsx';
import { PageLink } from '../../parts/page-link.tsx';
import { Badge, Empty, formatCount, Panel, type Tone } from '../../parts/small-parts.tsx';
import { TimeText } from '../../parts/time-text.tsx';

const tones: Readonly<Record<ApiSimulationRun['outcome'], Tone>> = {
  running: 'idle',
  passed: 'good',
  failed: 'bad',
  stopped: 'warn',
  error: 'bad',
};

export function OutcomeBadge({ run }: { readonly run: ApiSimulationRun }): JSX.Element {
  return <Badge tone={tones[run.outcome]}>{run.outcome}</Badge>;
}

export interface RunListProps {
  /** Newest first. */
  readonly runs: readonly ApiSimulationRun[];
  readonly changed: () => void;
}

/** The simulations that are kept. Two can be compared. */
export function RunList({ runs, changed }: RunListProps): JSX.Element {
  const [chosen, setChosen] = useState<readonly string[]>([]);
  // The older one is the base of the comparison.
  const pair = runs.filter(({ id }) => chosen.includes(id)).map(({ id }) => id);
  const toggle = (id: string): void => {
    setChosen(chosen.includes(id) ? chosen.filter((one) => one !== id) : [...chosen, id].slice(-2));
  };
  const remove = (id: string): void => {
    api.deleteSimulation({ id }).then(changed, notifyFailure);
  };
  return (
    <Panel
      title="Reports"
      aside={
        <button
          type="button"
          disabled={pair.length < 2}
          onClick={() => goTo(withQuery('simulator/compare', { a: pair[1], b: pair[0] }))}
        >
          Compare two
        </button>
      }
    >
      {runs.length === 0 ? (
        <Empty title="No simulation has run yet.">
          <p>Its report appears here, with the verdict, the latencies and what was lost.</p>
        </Empty>
      ) : (
        <RunTable runs={runs} chosen={chosen} toggle={toggle} remove={remove} />
      )}
    </Panel>
  );
}

interface RunActions {
  readonly toggle: (id: string) => void;
  readonly remove: (id: string) => void;
}

function RunTable({
  runs,
  chosen,
  ...actions
}: RunActions & {
  readonly runs: readonly ApiSimulationRun[];
  readonly chosen: readonly string[];
}): JSX.Element {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="List of reports">
      <table>
        <thead>
          <tr>
            <th>
              <span class="hidden">Choose</span>
            </th>
            <th>Plan</th>
            <th>Result</th>
            <th>Devices</th>
            <th>Started</th>
            <th>By</th>
            <th>
              <span class="hidden">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => (
            <RunRow key={run.id} run={run} isChosen={chosen.includes(run.id)} {...actions} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function RunRow({
  run,
  isChosen,
  toggle,
  remove,
}: RunActions & {
  readonly run: ApiSimulationRun;
  readonly isChosen: boolean;
}): JSX.Element {
  return (
    <tr>
      <td>
        <input
          type="checkbox"
          aria-label={`Choose ${run.plan}, ${run.startedAt}`}
          disabled={!run.hasReport}
          checked={isChosen}
          onChange={() => toggle(run.id)}
        />
      </td>
      <td>
        {run.hasReport ? <PageLink to={`simulator/${run.id}`}>{run.plan}</PageLink> : run.plan}
      </td>
      <td>
        <OutcomeBadge run={run} />
        {run.failure === null ? null : <p class="bad wrap">{run.failure}</p>}
      </td>
      <td>{formatCount(run.devices)}</td>
      <td class="nowrap">
        <TimeText at={run.startedAt} />
      </td>
      <td>{run.startedBy}</td>
      <td>
        {run.outcome !== 'running' && hasRole('admin') ? (
          <button
            type="button"
            class="small danger"
            aria-label={`Delete ${run.plan}, ${run.startedAt}`}
            onClick={() => remove(run.id)}
          >
            Delete
          </button>
        ) : null}
      </td>
    </tr>
  );
}
