/** The audit log: filter, follow, verify. @module */
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { problemFrom, type ApiProblem } from '../../api/call-api.ts';
import { api } from '../../api/page-api.ts';
import type { ApiAuditVerdict } from '../../api/api-types.ts';
import { listenLive } from '../../api/live-feed.ts';
import { usePages } from '../../api/use-pages.ts';
import { AuditTable } from '../../parts/audit-table.tsx';
import { changeQuery, pageLocation } from '../../parts/browser-location.ts';
import { ProblemText } from '../../parts/notices.tsx';
import { formatCount } from '../../parts/small-parts.tsx';

interface AuditFilter {
  readonly limit: number;
  readonly device: string | undefined;
  readonly action: string | undefined;
  readonly actor: string | undefined;
  readonly since: string | undefined;
}

const filters = [
  ['device', 'Device'],
  ['action', 'Action'],
  ['actor', 'By'],
] as const;
const periods = [
  ['', 'any time'],
  ['3600', 'last hour'],
  ['86400', 'last day'],
  ['604800', 'last 7 days'],
] as const;
/** At least this long between two readings that events cause. */
const followPauseMs = 1000;

export function AuditScreen(): JSX.Element {
  const filter = useAuditFilter();
  const pages = usePages(
    (client, after) => client.queryAudit({ query: { ...filter, after } }),
    ({ lines }) => lines.length === 0,
  );
  const [isFollowing, setFollowing] = useState(true);
  useFollow(isFollowing, pages.reload);
  const lines = pages.pages.flatMap((page) => page.lines);
  return (
    <>
      <div class="title-row">
        <h1>Audit</h1>
        <label class="check-field">
          <input
            type="checkbox"
            checked={isFollowing}
            onChange={({ currentTarget }) => setFollowing(currentTarget.checked)}
          />
          Follow new lines
        </label>
        <VerifyButton />
      </div>
      <AuditFilterForm />
      <ProblemText problem={pages.problem} />
      <div class="panel">
        <AuditTable lines={lines} isAbsolute />
        {pages.hasMore ? (
          <button type="button" disabled={pages.isLoading} onClick={pages.loadMore}>
            Show older lines
          </button>
        ) : null}
      </div>
    </>
  );
}

/** One value in the address; empty: no condition. */
function filterValue(name: string): string {
  return pageLocation.value.query.get(name) ?? '';
}

/** The filter of the address, as the API takes it. */
function useAuditFilter(): AuditFilter {
  const seconds = Number(filterValue('within'));
  // The beginning of a period is kept while the filter stays: paging needs one list.
  const since = useRef({ seconds: 0, at: '' });
  if (since.current.seconds !== seconds) {
    const at = seconds > 0 ? new Date(Date.now() - seconds * 1000).toISOString() : '';
    since.current = { seconds, at };
  }
  return {
    limit: 100,
    device: filterValue('device') || undefined,
    action: filterValue('action') || undefined,
    actor: filterValue('actor') || undefined,
    since: since.current.at || undefined,
  };
}

function AuditFilterForm(): JSX.Element {
  return (
    <form class="filters" aria-label="Filters" onSubmit={(event) => event.preventDefault()}>
      {filters.map(([name, label]) => (
        <label key={name} class="field">
          <span>{label}</span>
          <input
            type="search"
            value={filterValue(name)}
            maxLength={128}
            spellcheck={false}
            onChange={({ currentTarget }) => changeQuery({ [name]: currentTarget.value.trim() })}
          />
        </label>
      ))}
      <label class="field">
        <span>Time</span>
        <select
          value={filterValue('within')}
          onChange={({ currentTarget }) => changeQuery({ within: currentTarget.value })}
        >
          {periods.map(([period, text]) => (
            <option key={period} value={period}>
              {text}
            </option>
          ))}
        </select>
      </label>
    </form>
  );
}

/** Reads the first page again after new lines. */
function useFollow(isFollowing: boolean, reload: () => void): void {
  useEffect(() => {
    if (!isFollowing) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const end = listenLive('audit', () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        reload();
      }, followPauseMs);
    });
    return () => {
      clearTimeout(timer);
      end();
    };
  }, [isFollowing, reload]);
}

function VerifyButton(): JSX.Element {
  const [verdict, setVerdict] = useState<ApiAuditVerdict>();
  const [problem, setProblem] = useState<ApiProblem>();
  const [isRunning, setRunning] = useState(false);
  const verify = (): void => {
    setRunning(true);
    setProblem(undefined);
    api
      .verifyAudit()
      .then(setVerdict, (error: unknown) => setProblem(problemFrom(error)))
      .finally(() => setRunning(false));
  };
  return (
    <>
      <button type="button" class="right" disabled={isRunning} onClick={verify}>
        {isRunning ? 'Verifying…' : 'Verify the chain of hashes'}
      </button>
      {verdict === undefined ? null : (
        <p role="status" class={`verdict ${verdict.ok ? 'good-text' : 'bad'}`}>
          {verdict.ok
            ? `${formatCount(verdict.lines)} lines in ${verdict.files} files are unchanged. `
            : `The log was changed: ${verdict.detail}. `}
          {verdict.head === null ? null : (
            <>
              Line {verdict.head.seq} has the hash <code class="wrap">{verdict.head.hash}</code>;
              note it elsewhere to detect a log that was cut.
            </>
          )}
        </p>
      )}
      <ProblemText problem={problem} />
    </>
  );
}
