import type { JSX } from 'preact';
import type { ApiSimulationReport } from '../../api/api-types.ts';
import { useResource } from '../../api/use-resource.ts';
import { ProblemText } from '../../parts/notices.tsx';
import { PageLink } from '../../parts/page-link.tsx';
import { Badge, Facts, formatCount, Panel } from '../../parts/small-parts.tsx';
import { TimeText } from '../../parts/time-text.tsx';
import { elapsed } from './live-run.tsx';
import { OutcomeBadge } from './run-list.tsx';

/** The report of one simulation. */
export function RunReport({ id }: { readonly id: string }): JSX.Element {
  const { data, problem } = useResource((client) => client.getSimulationReport({ id }));
  const path = `/v1/simulator/runs/${encodeURIComponent(id)}`;
  return (
    <>
      <p class="crumbs">
        <PageLink to="simulator">Simulator</PageLink>
      </p>
      <div class="title-row">
        <h1>{data?.run.plan ?? 'Report'}</h1>
        {data === undefined ? null : (
          <>
            <OutcomeBadge run={data.run} />
            <p class="faint">
              <TimeText at={data.run.startedAt} /> by {data.run.startedBy}, took{' '}
              {elapsed(data.report.durationMs)}
            </p>
            <span class="right actions-inline">
              <a class="button" href={`${path}/report.json`} download={`${id}.json`}>
                All figures (JSON)
              </a>{' '}
              <a class="button" href={`${path}/report.html`} target="_blank" rel="noopener">
                Full report with plots
              </a>
            </span>
          </>
        )}
      </div>
      <ProblemText problem={problem} />
      {data === undefined ? (
        problem === undefined ? (
          <p class="loading">Loading…</p>
        ) : null
      ) : (
        <ReportPanels data={data} />
      )}
    </>
  );
}

function ReportPanels({ data }: { readonly data: ApiSimulationReport }): JSX.Element {
  const { report } = data;
  const { devices, messages, rates, simulator } = report;
  return (
    <>
      {report.failure === null ? null : <p class="problem">{report.failure}</p>}
      {simulator.valid ? null : (
        <p class="banner">
          Not valid as a measurement: {simulator.invalidBecause.join('; ')}. The counts of messages
          are right, the latencies are too long.
        </p>
      )}
      <div class="columns">
        <div>
          <Thresholds thresholds={report.thresholds} />
          <Panel title="Devices and messages">
            <Facts
              rows={[
                [
                  'Devices',
                  `${formatCount(devices.connected)} of ${formatCount(devices.planned)} connected, ${formatCount(devices.failed)} failed`,
                ],
                ['Messages sent', formatCount(messages.published)],
                [
                  'Received',
                  `${formatCount(messages.delivered)} of ${formatCount(messages.expected)} expected`,
                ],
                ['Lost', formatCount(messages.lost)],
                ['Duplicated', formatCount(messages.duplicated)],
                ['Misdelivered', formatCount(messages.misdelivered)],
                [
                  'Rates',
                  `${rates.enrollPerSecond.toFixed(0)} enrollments, ${rates.connectPerSecond.toFixed(0)} connections, ${rates.publishPerSecond.toFixed(0)} messages per second`,
                ],
                ['Seed', <code key="seed">{report.seed}</code>],
              ]}
            />
          </Panel>
        </div>
        <Latencies latencyMs={report.latencyMs} />
      </div>
      <Phases phases={report.phases} />
      <Errors errors={report.errors} notes={report.notes} />
    </>
  );
}

type RunFigures = ApiSimulationReport['report'];

function Thresholds({
  thresholds,
}: {
  readonly thresholds: RunFigures['thresholds'];
}): JSX.Element | null {
  if (thresholds.length === 0) return null;
  return (
    <Panel title="Thresholds">
      <div class="scroll" tabIndex={0} role="region" aria-label="List of thresholds">
        <table>
          <tbody>
            {thresholds.map(({ name, limit, value, ok }) => (
              <tr key={`${name} ${limit}`}>
                <td>
                  <Badge tone={ok ? 'good' : 'bad'}>{ok ? 'passed' : 'missed'}</Badge>
                </td>
                <td class="wrap">
                  <code>
                    {name} {limit}
                  </code>
                </td>
                <td class="number">{value === null ? 'not measured' : shortFigure(value)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

const latencyNames: Readonly<Record<string, string>> = {
  enroll: 'enrollment',
  handshake: 'TLS handshake',
  handshakeResumed: 'TLS handshake, resumed',
  connect: 'MQTT connect',
  publishAck: 'publish to acknowledgement',
  endToEnd: 'publisher to subscriber',
  command: 'command to device',
  roundtrip: 'command and reply',
  renew: 'renewal',
};

function Latencies({ latencyMs }: { readonly latencyMs: RunFigures['latencyMs'] }): JSX.Element {
  const rows = Object.entries(latencyMs).filter(([, { count }]) => count > 0);
  return (
    <Panel title="Latencies in ms">
      <div class="scroll" tabIndex={0} role="region" aria-label="Table of latencies">
        <table>
          <thead>
            <tr>
              <th>What</th>
              {['median', '95 %', '99 %', 'longest', 'count'].map((head) => (
                <th key={head} class="number">
                  {head}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map(([name, { p50, p95, p99, max, count }]) => (
              <tr key={name}>
                <td>{latencyNames[name] ?? name}</td>
                {[p50, p95, p99, max].map((value, at) => (
                  <td key={at} class="number">
                    {shortFigure(value)}
                  </td>
                ))}
                <td class="number">{formatCount(count)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

function Phases({ phases }: { readonly phases: RunFigures['phases'] }): JSX.Element {
  return (
    <Panel title="Phases">
      <ul class="brokers">
        {phases.map(({ name, durationMs, ok, verdict, evidence }) => (
          <li key={name}>
            <strong>{name}</strong>{' '}
            <Badge tone={ok ? (verdict === null ? 'idle' : 'good') : 'bad'}>
              {verdict === null ? (ok ? 'done' : 'not finished') : verdict}
            </Badge>{' '}
            <span class="faint">{elapsed(durationMs)}</span>
            {evidence.map((sentence) => (
              <p key={sentence} class="wrap">
                {sentence}
              </p>
            ))}
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Errors({
  errors,
  notes,
}: {
  readonly errors: RunFigures['errors'];
  readonly notes: RunFigures['notes'];
}): JSX.Element | null {
  const rows = Object.entries(errors);
  if (rows.length === 0 && notes.length === 0) return null;
  return (
    <Panel title="Errors and notes">
      {rows.map(([reason, count]) => (
        <p key={reason} class="wrap">
          {formatCount(count)} × {reason}
        </p>
      ))}
      {notes.map((note) => (
        <p key={note} class="wrap faint">
          {note}
        </p>
      ))}
    </Panel>
  );
}

/** Three digits are enough to compare. */
export function shortFigure(value: number): string {
  return value.toLocaleString('en', { maximumSignificantDigits: value >= 1000 ? 6 : 3 });
}
