/** Messages of the fleet: retained ones, live ones, and the longest queues. @module */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { hasRole } from '../../api/session-state.ts';
import { usePages } from '../../api/use-pages.ts';
import { changeQuery, pageLocation } from '../../parts/browser-location.ts';
import { LiveMessages, MessageItem } from '../../parts/message-tail.tsx';
import { ProblemText } from '../../parts/notices.tsx';
import { PublishForm } from '../../parts/publish-form.tsx';
import { Empty, Panel } from '../../parts/small-parts.tsx';

export function TopicsScreen(): JSX.Element {
  const { query } = pageLocation.value;
  const filter = query.get('filter') ?? '';
  const [typed, setTyped] = useState(filter === '' ? 'devices/#' : filter);
  return (
    <>
      <h1>Topics</h1>
      <Panel title="Watch">
        <form
          class="publish"
          aria-label="Watch"
          onSubmit={(event) => {
            event.preventDefault();
            changeQuery({ filter: typed });
          }}
        >
          <label class="field grow">
            <span>Topic filter</span>
            <input
              value={typed}
              required
              maxLength={1024}
              spellcheck={false}
              onInput={({ currentTarget }) => setTyped(currentTarget.value)}
            />
          </label>
          <button type="submit" class="primary">
            Watch
          </button>
          {filter === '' ? null : (
            <button type="button" onClick={() => changeQuery({ filter: undefined })}>
              Stop
            </button>
          )}
        </form>
        <p class="faint">
          The policy decides what you can watch and publish, by your role. The audit log records it.
        </p>
      </Panel>
      {filter === '' ? null : <LiveMessages key={filter} filter={filter} />}
      {hasRole('operator') ? (
        <Panel title="Publish">
          <PublishForm topic="devices/" />
        </Panel>
      ) : null}
      <RetainedMessages />
    </>
  );
}

function RetainedMessages(): JSX.Element {
  const prefix = pageLocation.value.query.get('prefix') ?? '';
  const pages = usePages(
    (client, after) => client.listRetained({ query: { prefix, limit: 50, after } }),
    ({ messages }) => messages.length === 0,
  );
  const messages = pages.pages.flatMap((page) => page.messages);
  const levels = prefix.split('/').slice(0, -1);
  return (
    <Panel
      title="Retained messages"
      aside={
        <button type="button" onClick={pages.reload}>
          Read again
        </button>
      }
    >
      <p class="crumbs" aria-label="Topic">
        <button type="button" class="plain" onClick={() => changeQuery({ prefix: undefined })}>
          all topics
        </button>
        {levels.map((level, at) => (
          <span key={at}>
            {' / '}
            <button
              type="button"
              class="plain"
              onClick={() => changeQuery({ prefix: `${levels.slice(0, at + 1).join('/')}/` })}
            >
              {level}
            </button>
          </span>
        ))}
      </p>
      <ChildLevels prefix={prefix} topics={messages.map(({ topic }) => topic)} />
      <ProblemText problem={pages.problem} />
      {messages.length === 0 && !pages.isLoading && pages.problem === undefined ? (
        <Empty title="No retained message here." />
      ) : null}
      <ol class="messages" tabIndex={0}>
        {messages.map((message) => (
          <MessageItem key={message.topic} message={message} />
        ))}
      </ol>
      {pages.pages.at(-1)?.complete === false ? (
        <p class="warn-text">
          There are too many topics to look at all of them. Choose a deeper level.
        </p>
      ) : null}
      {pages.hasMore ? (
        <button type="button" disabled={pages.isLoading} onClick={pages.loadMore}>
          Show more
        </button>
      ) : null}
    </Panel>
  );
}

/** The next levels of the tree, out of the topics that were read. */
function ChildLevels({
  prefix,
  topics,
}: {
  readonly prefix: string;
  readonly topics: readonly string[];
}): JSX.Element | null {
  const counts = new Map<string, number>();
  for (const topic of topics) {
    const rest = topic.slice(prefix.length);
    const end = rest.indexOf('/');
    if (!topic.startsWith(prefix) || end < 0) continue;
    const level = rest.slice(0, end + 1);
    counts.set(level, (counts.get(level) ?? 0) + 1);
  }
  if (counts.size === 0) return null;
  return (
    <ul class="levels" aria-label="Next levels">
      {[...counts].map(([level, count]) => (
        <li key={level}>
          <button
            type="button"
            class="small"
            onClick={() => changeQuery({ prefix: prefix + level })}
          >
            {level} <span class="faint">{count}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}
