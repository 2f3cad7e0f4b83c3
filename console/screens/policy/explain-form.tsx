import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { problemFrom, type ApiProblem } from '../../api/call-api.ts';
import { api } from '../../api/page-api.ts';
import type { ApiPolicyExplained } from '../../api/api-types.ts';
import { choiceOf } from '../../parts/choice.ts';
import { ProblemText } from '../../parts/notices.tsx';
import { RequiredField } from '../../parts/required-field.tsx';
import { Badge, Facts, Panel } from '../../parts/small-parts.tsx';

const actions = ['publish', 'subscribe', 'receive', 'connect'] as const;

/** Answers why a device may do something, or may not. With the text that is being edited, if there is one. */
export function ExplainForm({ text }: { readonly text: string | undefined }): JSX.Element {
  const [device, setDevice] = useState('');
  const [action, setAction] = useState<(typeof actions)[number]>('publish');
  const [topic, setTopic] = useState('');
  const [answer, setAnswer] = useState<ApiPolicyExplained>();
  const [problem, setProblem] = useState<ApiProblem>();
  const explain = (event: Event): void => {
    event.preventDefault();
    setProblem(undefined);
    const body = { device, action, topic, ...(text === undefined ? {} : { text }) };
    api.explainPolicy({ body }).then(setAnswer, (error: unknown) => {
      setAnswer(undefined);
      setProblem(problemFrom(error));
    });
  };
  return (
    <Panel
      title="Explain a decision"
      aside={<span class="faint">{text === undefined ? 'saved policy' : 'edited policy'}</span>}
    >
      <form class="publish" onSubmit={explain} aria-label="Explain a decision">
        <RequiredField label="Device" value={device} change={setDevice} maxLength={128} />
        <label class="field">
          <span>Action</span>
          <select
            value={action}
            onChange={({ currentTarget }) => setAction(choiceOf(actions, currentTarget.value))}
          >
            {actions.map((one) => (
              <option key={one} value={one}>
                {one}
              </option>
            ))}
          </select>
        </label>
        <RequiredField
          label={action === 'connect' ? 'Client id' : 'Topic or filter'}
          value={topic}
          change={setTopic}
          maxLength={1024}
        />
        <button type="submit" class="primary">
          Explain
        </button>
        <ProblemText problem={problem} />
      </form>
      {answer === undefined ? null : <Explanation answer={answer} />}
    </Panel>
  );
}

function Explanation({ answer }: { readonly answer: ApiPolicyExplained }): JSX.Element {
  const { allowed, reason, rule, expansion, nearest } = answer;
  return (
    <div role="status">
      <p>
        <Badge tone={allowed ? 'good' : 'bad'}>{allowed ? 'allowed' : 'denied'}</Badge> {reason}
      </p>
      <Facts
        rows={[
          ['Rule', rule ?? 'none'],
          ['Topic of the rule', expansion ?? 'none'],
          ['Nearest rule', nearest === null ? 'none' : `${nearest.rule}: ${nearest.because}`],
        ]}
      />
    </div>
  );
}
