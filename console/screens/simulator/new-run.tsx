import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { problemFrom, type ApiProblem } from '../../api/call-api.ts';
import { api } from '../../api/page-api.ts';
import type { ApiSimulationChecked, ApiSimulator } from '../../api/api-types.ts';
import { CodeField, lineFaultOf } from '../../editor/code-field.tsx';
import { ProblemText } from '../../parts/notices.tsx';
import { Badge, formatCount, Panel } from '../../parts/small-parts.tsx';
import { quickPlanText, type QuickNumbersForm } from './quick-plan.ts';

const checkPauseMs = 400;
const startNumbers: QuickNumbersForm = { devices: 100, seconds: 20, ratePerSecond: 1, qos: 1 };

export interface NewRunProps {
  readonly samples: ApiSimulator['samples'];
  readonly devicesMax: number;
  readonly started: () => void;
}

/** Chooses or writes a plan and starts it. */
export function NewRun({ samples, devicesMax, started }: NewRunProps): JSX.Element {
  const [source, setSource] = useState('');
  const [numbers, setNumbers] = useState(startNumbers);
  const [plan, setPlan] = useState(quickPlanText(startNumbers));
  const [problem, setProblem] = useState<ApiProblem>();
  const [isStarting, setStarting] = useState(false);
  const checked = usePlanCheck(plan);
  const choose = (name: string): void => {
    setSource(name);
    setPlan(samples.find((sample) => sample.name === name)?.plan ?? quickPlanText(numbers));
  };
  const change = (changes: Partial<QuickNumbersForm>): void => {
    const next = { ...numbers, ...changes };
    setNumbers(next);
    setPlan(quickPlanText(next));
  };
  const start = (event: Event): void => {
    event.preventDefault();
    setStarting(true);
    setProblem(undefined);
    api
      .startSimulation({ body: { plan } })
      .then(started, (error: unknown) => setProblem(problemFrom(error)))
      .finally(() => setStarting(false));
  };
  return (
    <Panel title="New simulation" aside={<PlanVerdict checked={checked} />}>
      <form class="simulation-form" onSubmit={start} aria-label="New simulation">
        <div class="publish">
          <label class="field grow">
            <span>Plan</span>
            <select value={source} onChange={({ currentTarget }) => choose(currentTarget.value)}>
              <option value="">quick: devices enroll, connect, publish and reconnect</option>
              {samples.map(({ name, description }) => (
                <option key={name} value={name}>
                  {name}: {description}
                </option>
              ))}
            </select>
          </label>
          {source === '' ? (
            <QuickFields numbers={numbers} devicesMax={devicesMax} change={change} />
          ) : null}
        </div>
        <CodeField
          label="Plan (YAML)"
          text={plan}
          change={setPlan}
          fault={lineFaultOf(checked?.error)}
          schemaPath="/v1/simulator/schema"
        />
        <ProblemText problem={problem} />
        <p>
          <button type="submit" class="primary" disabled={isStarting || checked?.ok !== true}>
            Start
          </button>{' '}
          <span class="faint">
            The devices are enrolled in this fleet and connect to its broker. One simulation runs at
            a time.
          </span>
        </p>
      </form>
    </Panel>
  );
}

function QuickFields({
  numbers,
  devicesMax,
  change,
}: {
  readonly numbers: QuickNumbersForm;
  readonly devicesMax: number;
  readonly change: (changes: Partial<QuickNumbersForm>) => void;
}): JSX.Element {
  return (
    <>
      <NumberField
        label="Devices"
        value={numbers.devices}
        max={devicesMax}
        change={(devices) => change({ devices })}
      />
      <NumberField
        label="Seconds"
        value={numbers.seconds}
        max={3600}
        change={(seconds) => change({ seconds })}
      />
      <NumberField
        label="Messages/s of each"
        value={numbers.ratePerSecond}
        max={100}
        change={(ratePerSecond) => change({ ratePerSecond })}
      />
      <NumberField
        label="QoS"
        value={numbers.qos}
        min={0}
        max={2}
        change={(qos) => change({ qos })}
      />
    </>
  );
}

function NumberField({
  label,
  value,
  min = 1,
  max,
  change,
}: {
  readonly label: string;
  readonly value: number;
  readonly min?: number;
  readonly max: number;
  readonly change: (value: number) => void;
}): JSX.Element {
  return (
    <label class="field number">
      <span>{label}</span>
      <input
        type="number"
        min={min}
        max={max}
        value={value}
        required
        onInput={({ currentTarget }) => {
          if (currentTarget.validity.valid) change(Number(currentTarget.value));
        }}
      />
    </label>
  );
}

function PlanVerdict({
  checked,
}: {
  readonly checked: ApiSimulationChecked | undefined;
}): JSX.Element | null {
  if (checked === undefined) return null;
  const { ok, error, devices, phases } = checked;
  if (ok) {
    return (
      <>
        <Badge tone="good">valid</Badge>
        <span class="faint">
          {formatCount(devices)} devices; {phases.join(', ')}
        </span>
      </>
    );
  }
  const where = error?.line == null ? '' : `line ${error.line}, column ${error.column ?? 1}: `;
  return (
    <span class="bad wrap" role="alert">
      {where}
      {error?.detail}
    </span>
  );
}

/** Checks the plan after a pause in typing; undefined until the first answer. */
function usePlanCheck(plan: string): ApiSimulationChecked | undefined {
  const [checked, setChecked] = useState<ApiSimulationChecked>();
  useEffect(() => {
    const abort = new AbortController();
    const timer = setTimeout(() => {
      api
        .checkSimulation({ body: { plan }, signal: abort.signal })
        .then(setChecked, () => setChecked(undefined));
    }, checkPauseMs);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [plan]);
  return checked;
}
