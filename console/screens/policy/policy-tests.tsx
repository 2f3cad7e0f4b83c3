import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { problemFrom, type ApiProblem } from '../../api/call-api.ts';
import { api } from '../../api/page-api.ts';
import type { ApiPolicyCase, ApiPolicyTested } from '../../api/api-types.ts';
import { choiceOf } from '../../parts/choice.ts';
import { DataTable, type Column } from '../../parts/data-table.tsx';
import { ProblemText } from '../../parts/notices.tsx';
import { Badge, CopyText, Panel } from '../../parts/small-parts.tsx';
import { caseActions, detailsOf, emptyCase, testFileOf, type PolicyCase } from './policy-case.ts';

interface CaseRow {
  readonly key: number;
  readonly expectation: PolicyCase;
  /** Of the last run; undefined since the row was changed. */
  readonly outcome?: ApiPolicyCase | undefined;
}

let lastKey = 0;

const startRows = [
  rowOf({ ...emptyCase, device: 'sensor-1', topic: 'devices/sensor-1/telemetry' }),
  rowOf({
    ...emptyCase,
    device: 'sensor-1',
    action: 'subscribe',
    topic: 'devices/#',
    expected: false,
  }),
];

/** Expected decisions, compared with those of the policy. */
export function PolicyTests({ text }: { readonly text: string | undefined }): JSX.Element {
  const [rows, setRows] = useState<readonly CaseRow[]>(startRows);
  const [summary, setSummary] = useState<ApiPolicyTested>();
  const [problem, setProblem] = useState<ApiProblem>();
  const file = testFileOf(rows.map(({ expectation }) => expectation));
  const run = (tests: string): void => {
    setProblem(undefined);
    setSummary(undefined);
    api.testPolicy({ body: { tests, ...(text === undefined ? {} : { text }) } }).then(
      (result) => {
        setSummary(result);
        setRows(result.cases.map((one) => ({ ...rowOf(one), outcome: one })));
      },
      (error: unknown) => setProblem(problemFrom(error)),
    );
  };
  const change = (key: number, changes: Partial<PolicyCase>): void => {
    setRows(
      rows.map((row) =>
        row.key === key ? { key, expectation: { ...row.expectation, ...changes } } : row,
      ),
    );
  };
  return (
    <Panel
      title="Tests"
      aside={<TestActions isEmpty={file === ''} run={() => run(file)} read={run} />}
    >
      <DataTable
        label="Expected decisions"
        rows={rows}
        columns={columns(change, (key) => setRows(rows.filter((row) => row.key !== key)))}
        keyOf={({ key }) => String(key)}
      />
      <button
        type="button"
        onClick={() =>
          setRows([...rows, rowOf({ ...(rows.at(-1)?.expectation ?? emptyCase), topic: '' })])
        }
      >
        Add a row
      </button>
      <ProblemText problem={problem} />
      {summary === undefined ? null : (
        <p role="status" class={summary.failures.length === 0 ? 'good-text' : 'bad'}>
          {summary.passed} passed, {summary.failures.length} failed.
        </p>
      )}
      {file === '' ? null : (
        <details>
          <summary>As a file for flotilla policy test</summary>
          <CopyText text={file} />
        </details>
      )}
    </Panel>
  );
}

function TestActions({
  isEmpty,
  run,
  read,
}: {
  readonly isEmpty: boolean;
  readonly run: () => void;
  readonly read: (file: string) => void;
}): JSX.Element {
  return (
    <>
      <label class="button">
        Open a file
        <input
          type="file"
          class="hidden"
          accept=".yaml,.yml"
          onChange={({ currentTarget }) => {
            void currentTarget.files?.[0]?.text().then(read);
            currentTarget.value = '';
          }}
        />
      </label>
      <button type="button" class="primary" disabled={isEmpty} onClick={run}>
        Run the tests
      </button>
    </>
  );
}

function columns(
  change: (key: number, changes: Partial<PolicyCase>) => void,
  remove: (key: number) => void,
): readonly Column<CaseRow>[] {
  const text = (field: 'device' | 'role' | 'topic', title: string): Column<CaseRow> => ({
    title,
    class: `case-${field}`,
    cell: ({ key, expectation }) => (
      <>
        <input
          aria-label={title}
          value={expectation[field]}
          maxLength={1024}
          spellcheck={false}
          onInput={({ currentTarget }) => change(key, { [field]: currentTarget.value })}
        />
        {field === 'topic' ? <small class="faint">{detailsOf(expectation)}</small> : null}
      </>
    ),
  });
  return [
    text('device', 'Identity'),
    text('role', 'Role'),
    { title: 'Action', cell: (row) => <ActionSelect row={row} change={change} /> },
    text('topic', 'Topic'),
    { title: 'Expected', cell: (row) => <ExpectedSelect row={row} change={change} /> },
    { title: 'Result', class: 'case-result', cell: (row) => <CaseOutcome row={row} /> },
    {
      title: 'Actions',
      isTitleHidden: true,
      class: 'row-actions',
      cell: ({ key, expectation }) => (
        <button
          type="button"
          class="small"
          aria-label={`Remove ${expectation.device} ${expectation.topic}`}
          onClick={() => remove(key)}
        >
          Remove
        </button>
      ),
    },
  ];
}

interface CellProps {
  readonly row: CaseRow;
  readonly change: (key: number, changes: Partial<PolicyCase>) => void;
}

function ActionSelect({ row: { key, expectation }, change }: CellProps): JSX.Element {
  return (
    <select
      aria-label="Action"
      value={expectation.action}
      onChange={({ currentTarget }) =>
        change(key, { action: choiceOf(caseActions, currentTarget.value) })
      }
    >
      {caseActions.map((one) => (
        <option key={one} value={one}>
          {one}
        </option>
      ))}
    </select>
  );
}

function ExpectedSelect({ row: { key, expectation }, change }: CellProps): JSX.Element {
  return (
    <select
      aria-label="Expected"
      value={expectation.expected ? 'allowed' : 'denied'}
      onChange={({ currentTarget }) => change(key, { expected: currentTarget.value === 'allowed' })}
    >
      <option value="allowed">allowed</option>
      <option value="denied">denied</option>
    </select>
  );
}

function CaseOutcome({ row: { outcome } }: { readonly row: CaseRow }): JSX.Element | null {
  if (outcome === undefined) return null;
  const { allowed, expected, reason } = outcome;
  const isPassed = allowed === expected;
  return (
    <>
      <Badge tone={isPassed ? 'good' : 'bad'}>{isPassed ? 'passed' : 'failed'}</Badge>{' '}
      <span class={isPassed ? 'faint' : 'bad'}>
        {allowed ? 'allowed' : 'denied'}: {reason}
      </span>
    </>
  );
}

function rowOf(expectation: PolicyCase): CaseRow {
  return { key: ++lastKey, expectation };
}
