/** Messages of a topic filter as they happen. @module */
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiProblem, withQuery } from '../api/call-api.ts';
import type { ApiMessage, ApiTail } from '../api/api-types.ts';
import { ProblemText } from './notices.tsx';
import { Badge, Empty, formatBytes, formatCount, Panel } from './small-parts.tsx';
import { TimeText } from './time-text.tsx';

const shownMessagesMax = 200;
const secondsMax = 900;
const messagesMax = 10_000;

interface TailState {
  readonly messages: readonly (ApiMessage & { readonly key: number })[];
  readonly count: number;
  readonly dropped: number;
  readonly problem: ApiProblem | undefined;
  readonly isOver: boolean;
}

const emptyTail: TailState = {
  messages: [],
  count: 0,
  dropped: 0,
  problem: undefined,
  isOver: false,
};

export function LiveMessages({ filter }: { readonly filter: string }): JSX.Element {
  const [turn, setTurn] = useState(0);
  const [isPaused, setPaused] = useState(false);
  const state = useTail(filter, turn, isPaused);
  const again = (): void => setTurn(turn + 1);
  return (
    <Panel
      title="Live messages"
      aside={
        <>
          <Badge tone={state.isOver ? 'idle' : 'good'}>{state.isOver ? 'ended' : 'live'}</Badge>
          <button type="button" onClick={() => setPaused(!isPaused)} aria-pressed={isPaused}>
            {isPaused ? 'Continue' : 'Pause'}
          </button>
        </>
      }
    >
      <p class="faint" role="status">
        <code>{filter}</code> {formatCount(state.count)} messages
        {state.dropped === 0
          ? ''
          : `, ${formatCount(state.dropped)} not shown because they came too fast`}
      </p>
      <ProblemText problem={state.problem} />
      {state.isOver ? (
        <p>
          Watching ends after 15 minutes or {formatCount(messagesMax)} messages, so that a forgotten
          page costs nothing.{' '}
          <button type="button" onClick={again}>
            Watch again
          </button>
        </p>
      ) : null}
      {state.messages.length === 0 && !state.isOver ? (
        <Empty title="No message yet. Messages appear here as devices publish them." />
      ) : null}
      <ol class="messages" tabIndex={0}>
        {state.messages.map((message) => (
          <MessageItem key={message.key} message={message} />
        ))}
      </ol>
    </Panel>
  );
}

/** One message: topic, payload, where it came from. */
export function MessageItem({ message }: { readonly message: ApiMessage }): JSX.Element {
  const { topic, bytes, qos, retain, at, publisher, truncated } = message;
  return (
    <li>
      <p class="head">
        <code class="wrap">{topic}</code>
        <span class="faint">
          QoS {qos}
          {retain ? ', retained' : ''}, {formatBytes(bytes)}, <TimeText at={at} />
          {publisher === null ? '' : `, by ${publisher}`}
        </span>
      </p>
      <pre class="payload" tabIndex={0}>
        {payloadText(message)}
        {truncated ? '\n… (cut)' : ''}
      </pre>
    </li>
  );
}

/** JSON is indented, text is shown as it is, other bytes are shown in hexadecimal. */
export function payloadText({ payload, encoding }: ApiMessage): string {
  if (encoding === 'base64') {
    const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
    return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  }
  if (payload === '') return '(empty)';
  try {
    const parsed: unknown = JSON.parse(payload);
    return typeof parsed === 'object' ? JSON.stringify(parsed, undefined, 2) : payload;
  } catch {
    return payload;
  }
}

function useTail(filter: string, turn: number, isPaused: boolean): TailState {
  const [state, setState] = useState(emptyTail);
  const paused = useRef(isPaused);
  paused.current = isPaused;
  useEffect(() => {
    setState(emptyTail);
    let key = 0;
    const path = withQuery('/v1/messages/tail', { filter, seconds: secondsMax, max: messagesMax });
    const source = new EventSource(path);
    const end = (problem?: ApiProblem): void => {
      source.close();
      setState((before) => ({ ...before, isOver: true, problem: problem ?? before.problem }));
    };
    source.addEventListener('messages', (event: MessageEvent<string>) => {
      // The service sends each event in its own shape.
      const { messages, dropped } = JSON.parse(event.data) as ApiTail;
      setState((before) => ({
        ...before,
        count: before.count + messages.length,
        dropped: before.dropped + dropped,
        messages: paused.current
          ? before.messages
          : [
              ...messages.map((message) => ({ ...message, key: key++ })).reverse(),
              ...before.messages,
            ].slice(0, shownMessagesMax),
      }));
    });
    source.addEventListener('refused', (event: MessageEvent<string>) => {
      end(new ApiProblem(403, JSON.parse(event.data) as Record<string, unknown>));
    });
    source.addEventListener('end', () => end());
    source.addEventListener('error', () => {
      if (source.readyState !== EventSource.CLOSED) return;
      end(new ApiProblem(0, { title: 'The broker cannot be watched now', code: 'unreachable' }));
    });
    return () => source.close();
  }, [filter, turn]);
  return state;
}
