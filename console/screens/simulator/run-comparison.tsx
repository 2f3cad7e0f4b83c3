import type { JSX } from 'preact';
import type { ApiSimulationComparison } from '../../api/api-types.ts';
import { useResource } from '../../api/use-resource.ts';
import { pageLocation } from '../../parts/browser-location.ts';
import { ProblemText } from '../../parts/notices.tsx';
import { PageLink } from '../../parts/page-link.tsx';
import { Badge, Panel, type Tone } from '../../parts/small-parts.tsx';
import { TimeText } from '../../parts/time-text.tsx';
import { shortFigure } from './run-report.tsx';

const tones: Readonly<Record<string, Tone>> = { better: 'good', worse: 'bad' };

/** Two reports side by side. */
export function RunComparison(): JSX.Element {
  const { query } = pageLocation.value;
  const [a, b] = [query.get('a') ?? '', query.get('b') ?? ''];
  const { data, problem } = useResource((client) => client.compareSimulations({ query: { a, b } }));
  return (
    <>
      <p class="crumbs">
        <PageLink to="simulator">Simulator</PageLink>
      </p>
      <h1>Comparison</h1>
      <ProblemText problem={problem} />
      {data?.warnings.map((warning) => (
        <p key={warning} class="banner">
          {warning}
        </p>
      ))}
      {data === undefined ? null : (
        <Panel title="Before and after">
          <div class="scroll" tabIndex={0} role="region" aria-label="Figures of both runs">
            <table>
              <thead>
                <tr>
                  <th>Figure</th>
                  <RunHead name="A" id={a} run={data.a} />
                  <RunHead name="B" id={b} run={data.b} />
                  <th class="number">Change</th>
                  <th>Verdict</th>
                </tr>
              </thead>
              <tbody>
                {data.figures.map((figure) => (
                  <tr key={figure.name}>
                    <td>
                      <code>{figure.name}</code>
                    </td>
                    <td class="number">{figure.a === null ? '–' : shortFigure(figure.a)}</td>
                    <td class="number">{figure.b === null ? '–' : shortFigure(figure.b)}</td>
                    <td class="number">
                      {figure.changePercent === null
                        ? ''
                        : `${figure.changePercent > 0 ? '+' : ''}${figure.changePercent.toFixed(1)} %`}
                    </td>
                    <td>
                      {figure.verdict === 'unknown' ? null : (
                        <Badge tone={tones[figure.verdict] ?? 'idle'}>{figure.verdict}</Badge>
                      )}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </Panel>
      )}
    </>
  );
}

function RunHead({
  name,
  id,
  run,
}: {
  readonly name: string;
  readonly id: string;
  readonly run: ApiSimulationComparison['a'];
}): JSX.Element {
  return (
    <th class="number">
      {name}: <PageLink to={`simulator/${id}`}>{run.plan}</PageLink>,{' '}
      <TimeText at={run.startedAt} />
    </th>
  );
}
