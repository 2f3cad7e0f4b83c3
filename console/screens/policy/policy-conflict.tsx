/** Two versions of the policy: the one that was saved meanwhile and the one that is edited here. @module */
import type { JSX } from 'preact';
import type { ApiPolicy } from '../../api/api-types.ts';
import { Panel } from '../../parts/small-parts.tsx';
import { TimeText } from '../../parts/time-text.tsx';

export interface PolicyConflictProps {
  readonly saved: ApiPolicy;
  readonly mine: string;
  readonly discard: () => void;
  /** Goes on with the own text, to be saved over the other version. */
  readonly keep: () => void;
}

export function PolicyConflict({ saved, mine, discard, keep }: PolicyConflictProps): JSX.Element {
  return (
    <Panel
      title="Changed meanwhile"
      aside={
        <>
          <button type="button" onClick={discard}>
            Discard mine
          </button>
          <button type="button" class="danger" onClick={keep}>
            Replace theirs with mine
          </button>
        </>
      }
    >
      <p role="alert">
        {saved.updatedBy ?? 'Somebody'} saved another policy{' '}
        {saved.updatedAt === null ? null : <TimeText at={saved.updatedAt} />} while you were editing
        this one. Lines that only one of them has are marked.
      </p>
      <div class="columns versions">
        <Version title="Saved" text={saved.text} other={mine} />
        <Version title="Yours" text={mine} other={saved.text} />
      </div>
    </Panel>
  );
}

function Version({
  title,
  text,
  other,
}: {
  readonly title: string;
  readonly text: string;
  readonly other: string;
}): JSX.Element {
  const others = new Set(other.split('\n'));
  return (
    <div>
      <h3>{title}</h3>
      <pre class="version" tabIndex={0} aria-label={`${title} version`}>
        {text.split('\n').map((line, at) =>
          others.has(line) ? (
            `${line}\n`
          ) : (
            <mark key={at}>
              {line}
              {'\n'}
            </mark>
          ),
        )}
      </pre>
    </div>
  );
}
