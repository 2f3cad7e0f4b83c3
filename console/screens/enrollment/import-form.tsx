import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { callApi, problemFrom, type ApiProblem } from '../../api/call-api.ts';
import type { ApiImported } from '../../api/api-types.ts';
import { notify, ProblemText } from '../../parts/notices.tsx';
import { formatCount, Panel } from '../../parts/small-parts.tsx';
import { previewImport, type ImportPreview } from './import-preview.ts';

/** Registers many devices from a CSV file, after a look at it. */
export function ImportForm(): JSX.Element {
  const [text, setText] = useState('');
  const [result, setResult] = useState<ApiImported>();
  const [problem, setProblem] = useState<ApiProblem>();
  const preview = text === '' ? undefined : previewImport(text);
  const run = (): void => {
    setProblem(undefined);
    callApi<ApiImported>('POST', '/v1/devices/import', {
      text: { content: text, type: 'text/csv' },
    }).then(
      (imported) => {
        setResult(imported);
        setText('');
        notify(`${imported.created} devices created, ${imported.updated} updated.`);
      },
      (error: unknown) => setProblem(problemFrom(error)),
    );
  };
  return (
    <Panel title="Import">
      <p>
        A CSV file with a column <code>id</code>, and optionally <code>group</code>,{' '}
        <code>role</code>, <code>profile</code>, <code>token</code>, and <code>attr:NAME</code> for
        each attribute.
      </p>
      <label class="field">
        <span>File</span>
        <input
          type="file"
          accept=".csv,text/csv"
          onChange={({ currentTarget }) => {
            const file = currentTarget.files?.[0];
            setResult(undefined);
            if (file !== undefined) void file.text().then(setText);
          }}
        />
      </label>
      {preview === undefined ? null : <PreviewedImport preview={preview} run={run} />}
      <ProblemText problem={problem} />
      {result === undefined ? null : <ImportOutcome result={result} />}
    </Panel>
  );
}

function PreviewedImport({
  preview,
  run,
}: {
  readonly preview: ImportPreview;
  readonly run: () => void;
}): JSX.Element {
  return (
    <>
      <p>
        <strong>{formatCount(preview.count)} devices.</strong> The first rows:
      </p>
      <div class="scroll" tabIndex={0} role="region" aria-label="Preview">
        <table>
          <thead>
            <tr>
              {preview.columns.map((column, at) => (
                <th key={at}>{column}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {preview.rows.map((row, at) => (
              <tr key={at}>
                {row.map((cell, column) => (
                  <td key={column}>{cell}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {preview.faults.map((fault) => (
        <p key={fault} class="bad">
          {fault}
        </p>
      ))}
      <button type="button" class="primary" disabled={preview.count === 0} onClick={run}>
        Import {formatCount(preview.count)} devices
      </button>
    </>
  );
}

function ImportOutcome({ result }: { readonly result: ApiImported }): JSX.Element {
  return (
    <div role="status">
      <p>
        {result.created} created, {result.updated} updated, {result.tokens} tokens,{' '}
        {result.refused.length} refused.
      </p>
      {result.refused.slice(0, 20).map(({ line, reason }) => (
        <p key={line} class="bad">
          Line {line}: {reason}
        </p>
      ))}
    </div>
  );
}
