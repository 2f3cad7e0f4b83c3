/**
 * The report as JUnit XML for CI systems: one test case per threshold and phase.
 *
 * @module
 */
import type { Report } from './report-model.ts';
import { escapeMarkup } from './html-page.ts';

/** The whole file. */
export function reportJunit(report: Report): string {
  const cases = [
    ...report.thresholds.map(({ name, limit, value, ok }) => ({
      group: 'thresholds',
      name: `${name} ${limit}`,
      seconds: 0,
      failure: ok
        ? undefined
        : `${name} is ${value === null ? 'never measured' : value}, the limit is ${limit}`,
      detail: '',
    })),
    ...report.phases.map(({ name, ok, durationMs, evidence }) => ({
      group: 'phases',
      name,
      seconds: durationMs / 1000,
      failure: ok ? undefined : (evidence[0] ?? 'failed'),
      detail: evidence.join('\n'),
    })),
    ...(report.failure === null && !report.aborted
      ? []
      : [
          {
            group: 'run',
            name: 'completes',
            seconds: report.durationMs / 1000,
            failure: report.failure ?? 'stopped early',
            detail: '',
          },
        ]),
  ];
  const failures = cases.filter(({ failure }) => failure !== undefined).length;
  const seconds = (report.durationMs / 1000).toFixed(3);
  return `<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="${cases.length}" failures="${failures}" time="${seconds}">
  <testsuite name="${clean(report.plan)}" tests="${cases.length}" failures="${failures}" time="${seconds}" timestamp="${clean(report.startedAt.slice(0, 19))}">
    <properties>
      <property name="seed" value="${clean(report.seed)}"/>
      <property name="broker" value="${clean(report.broker.address)}"/>
      <property name="valid" value="${report.simulator.valid}"/>
    </properties>
${cases
  .map(({ group, name, seconds: took, failure, detail }) => {
    const open = `    <testcase classname="${clean(`${report.plan}.${group}`)}" name="${clean(name)}" time="${took.toFixed(3)}"`;
    if (failure === undefined && detail === '') return `${open}/>`;
    const inside =
      failure === undefined
        ? `<system-out>${clean(detail)}</system-out>`
        : `<failure message="${clean(failure)}">${clean(detail)}</failure>`;
    return `${open}>${inside}</testcase>`;
  })
  .join('\n')}
  </testsuite>
</testsuites>
`;
}

/** Escapes a text and replaces control characters, which XML 1.0 does not allow. */
function clean(text: string): string {
  // eslint-disable-next-line no-control-regex -- they are replaced
  return escapeMarkup(text.replaceAll(/[\u0000-\u0008\u000B\u000C\u000E-\u001F]/g, '�'));
}
