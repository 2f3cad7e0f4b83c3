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

type VersionPart =
  | { readonly kind: 'line'; readonly line: string; readonly isMarked: boolean }
  | { readonly kind: 'equal'; readonly count: number };

/** Equal lines that are shown before and after a different one. */
const contextLines = 3;

/** The lines that the other text lacks, with the lines around them. */
function differencesOf(text: string, other: string): VersionPart[] {
  const others = new Set(other.split('\n'));
  const lines = text.split('\n').map((line) => ({ line, isMarked: !others.has(line) }));
  const parts: VersionPart[] = [];
  lines.forEach((line, at) => {
    const around = lines.slice(Math.max(0, at - contextLines), at + contextLines + 1);
    const last = parts.at(-1);
    if (around.some(({ isMarked }) => isMarked)) parts.push({ kind: 'line', ...line });
    else if (last?.kind === 'equal') parts.splice(-1, 1, { ...last, count: last.count + 1 });
    else parts.push({ kind: 'equal', count: 1 });
  });
  return parts;
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
  return (
    <div>
      <h3>{title}</h3>
      <pre class="version" tabIndex={0} aria-label={`${title} version`}>
        {differencesOf(text, other).map((part, at) => {
          if (part.kind === 'equal') {
            return (
              <span key={at} class="faint">
                {`… ${part.count} ${part.count === 1 ? 'line' : 'lines'} in both\n`}
              </span>
            );
          }
          return part.isMarked ? <mark key={at}>{`${part.line}\n`}</mark> : `${part.line}\n`;
        })}
      </pre>
    </div>
  );
}
