import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { problemFrom, type ApiProblem } from '../api/call-api.ts';
import { api } from '../api/page-api.ts';
import { choiceOf } from './choice.ts';
import { notify, ProblemText } from './notices.tsx';
import { PayloadField } from './payload-field.tsx';
import { RequiredField } from './required-field.tsx';

const levels = [0, 1, 2] as const;

/** Publishes one message as the operator. */
export function PublishForm({ topic: initial }: { readonly topic: string }): JSX.Element {
  const [topic, setTopic] = useState(initial);
  const [payload, setPayload] = useState('');
  const [qos, setQos] = useState<(typeof levels)[number]>(1);
  const [retain, setRetain] = useState(false);
  const [problem, setProblem] = useState<ApiProblem>();
  const [isSending, setSending] = useState(false);
  const send = (event: Event): void => {
    event.preventDefault();
    setSending(true);
    setProblem(undefined);
    api
      .publishMessage({ body: { topic, payload, qos, retain } })
      .then(
        ({ broker }) => notify(`Published to ${topic} on ${broker}.`),
        (error: unknown) => setProblem(problemFrom(error)),
      )
      .finally(() => setSending(false));
  };
  return (
    <form class="publish" onSubmit={send} aria-label="Publish">
      <RequiredField label="Topic" value={topic} change={setTopic} maxLength={1024} />
      <PayloadField value={payload} change={setPayload} />
      <label class="field">
        <span>QoS</span>
        <select
          value={qos}
          onChange={({ currentTarget }) => setQos(choiceOf(levels, currentTarget.value))}
        >
          <option value={0}>0</option>
          <option value={1}>1</option>
          <option value={2}>2</option>
        </select>
      </label>
      <label class="check-field">
        <input
          type="checkbox"
          checked={retain}
          onChange={({ currentTarget }) => setRetain(currentTarget.checked)}
        />
        Retain
      </label>
      <button type="submit" class="primary" disabled={isSending}>
        Publish
      </button>
      <ProblemText problem={problem} />
    </form>
  );
}
