import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { withQuery } from '../../api/call-api.ts';
import { api } from '../../api/page-api.ts';
import type { ApiSimulationRun } from '../../api/api-types.ts';
import { hasRole } from '../../api/session-state.ts';
import { goTo } from '../../parts/browser-location.ts';
import { DataTable, type Column } from '../../parts/data-table.tsx';
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
        <DataTable
          label="List of reports"
          rows={runs}
          columns={columns(chosen, { toggle, remove })}
          keyOf={({ id }) => id}
        />
      )}
    </Panel>
  );
}

interface RunActions {
  readonly toggle: (id: string) => void;
  readonly remove: (id: string) => void;
}

function columns(
  chosen: readonly string[],
  { toggle, remove }: RunActions,
): readonly Column<ApiSimulationRun>[] {
  return [
    {
      title: 'Choose',
      isTitleHidden: true,
      cell: ({ id, plan, startedAt, hasReport }) => (
        <input
          type="checkbox"
          aria-label={`Choose ${plan}, ${startedAt}`}
          disabled={!hasReport}
          checked={chosen.includes(id)}
          onChange={() => toggle(id)}
        />
      ),
    },
    {
      title: 'Plan',
      class: 'wrap',
      cell: ({ id, plan, hasReport }) =>
        hasReport ? <PageLink to={`simulator/${id}`}>{plan}</PageLink> : plan,
    },
    {
      title: 'Result',
      cell: (run) => (
        <>
          <OutcomeBadge run={run} />
          {run.failure === null ? null : <p class="bad wrap">{run.failure}</p>}
        </>
      ),
    },
    { title: 'Devices', cell: ({ devices }) => formatCount(devices) },
    { title: 'Started', class: 'nowrap', cell: ({ startedAt }) => <TimeText at={startedAt} /> },
    { title: 'By', cell: ({ startedBy }) => startedBy },
    {
      title: 'Actions',
      isTitleHidden: true,
      class: 'row-actions',
      cell: ({ id, plan, startedAt, outcome }) =>
        outcome !== 'running' && hasRole('admin') ? (
          <button
            type="button"
            class="small danger"
            aria-label={`Delete ${plan}, ${startedAt}`}
            onClick={() => remove(id)}
          >
            Delete
          </button>
        ) : null,
    },
  ];
}
