import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { problemFrom, type ApiProblem } from '../../api/call-api.ts';
import { api } from '../../api/page-api.ts';
import type { ApiPolicyTested } from '../../api/api-types.ts';
import { ProblemText } from '../../parts/notices.tsx';
import { Panel } from '../../parts/small-parts.tsx';

const example = `tests:
  - device: sensor-1
    allow:
      - publish: devices/sensor-1/telemetry
    deny:
      - subscribe: devices/#
`;

/** Runs expected decisions against the policy. */
export function PolicyTests({ text }: { readonly text: string | undefined }): JSX.Element {
  const [tests, setTests] = useState(example);
  const [result, setResult] = useState<ApiPolicyTested>();
  const [problem, setProblem] = useState<ApiProblem>();
  const run = (): void => {
    setProblem(undefined);
    setResult(undefined);
    api
      .testPolicy({ body: { tests, ...(text === undefined ? {} : { text }) } })
      .then(setResult, (error: unknown) => setProblem(problemFrom(error)));
  };
  return (
    <Panel title="Tests">
      <label class="field">
        <span>Expected decisions (YAML)</span>
        <textarea
          rows={8}
          value={tests}
          spellcheck={false}
          onInput={({ currentTarget }) => setTests(currentTarget.value)}
        />
      </label>
      <button type="button" onClick={run}>
        Run the tests
      </button>
      <ProblemText problem={problem} />
      {result === undefined ? null : (
        <div role="status">
          <p class={result.failures.length === 0 ? 'good-text' : 'bad'}>
            {result.passed} passed, {result.failures.length} failed.
          </p>
          {result.failures.map((failure) => (
            <p key={failure} class="bad wrap">
              {failure}
            </p>
          ))}
        </div>
      )}
    </Panel>
  );
}
