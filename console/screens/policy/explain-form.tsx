import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { problemFrom, type ApiProblem } from '../../api/call-api.ts';
import { api } from '../../api/page-api.ts';
import type { ApiPolicyExplained } from '../../api/api-types.ts';
import { choiceOf } from '../../parts/choice.ts';
import { ProblemText } from '../../parts/notices.tsx';
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
        <label class="field grow">
          <span>Device</span>
          <input
            value={device}
            required
            maxLength={128}
            spellcheck={false}
            onInput={({ currentTarget }) => setDevice(currentTarget.value)}
          />
        </label>
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
        <label class="field grow">
          <span>{action === 'connect' ? 'Client id' : 'Topic or filter'}</span>
          <input
            value={topic}
            required
            maxLength={1024}
            spellcheck={false}
            onInput={({ currentTarget }) => setTopic(currentTarget.value)}
          />
        </label>
        <button type="submit" class="primary">
          Explain
        </button>
        <ProblemText problem={problem} />
      </form>
      {answer === undefined ? null : (
        <div role="status">
          <p>
            <Badge tone={answer.allowed ? 'good' : 'bad'}>
              {answer.allowed ? 'allowed' : 'denied'}
            </Badge>{' '}
            {answer.reason}
          </p>
          <Facts
            rows={[
              ['Rule', answer.rule ?? 'none'],
              ['Topic of the rule', answer.expansion ?? 'none'],
              [
                'Nearest rule',
                answer.nearest === null
                  ? 'none'
                  : `${answer.nearest.rule}: ${answer.nearest.because}`,
              ],
            ]}
          />
        </div>
      )}
    </Panel>
  );
}
