/**
 * The live screen of a run: renders progress events as text for a terminal. The command line clears the
 * screen and prints it.
 *
 * @module
 */
import { deviceStates, type DeviceState } from '../device/sim-device.ts';
import type { StandingThreshold } from '../plan/threshold.ts';
import { clock, ms, type Progress } from './progress.ts';
import { paintedLine, type Paint, type ScreenColor, type Span } from './spans.ts';

const historyMaxSeconds = 120;
/** A phase of a year or more runs until it is stopped. */
const endlessMs = 365 * 86_400_000;
const bars = ' ▁▂▃▄▅▆▇█';
/** Of the thresholds, those that are missed come first. */
const thresholdLinesMax = 8;

const stateColors: Readonly<Record<DeviceState, ScreenColor>> = {
  new: 'dim',
  enrolled: 'dim',
  connecting: 'yellow',
  online: 'green',
  offline: 'yellow',
  failed: 'red',
};

export interface ScreenLook {
  readonly paint: Paint;
  /** What a person can do to end the run, for the first line. */
  readonly ending: () => string;
}

/** Keeps the last events and renders them. */
export class Screen {
  readonly #look: ScreenLook;
  readonly #sent: number[] = [];
  readonly #received: number[] = [];
  readonly #events: string[] = [];
  #last: Progress | undefined;

  constructor(look: ScreenLook) {
    this.#look = look;
  }

  update(progress: Progress): void {
    this.#last = progress;
    if (progress.kind === 'second' && progress.second !== undefined) {
      const seconds = Math.max(0.001, progress.second.spanMs / 1000);
      keep(this.#sent, progress.second.published / seconds);
      keep(this.#received, progress.second.delivered / seconds);
    } else if (progress.text !== '') {
      this.#events.push(`${clock(progress.atMs)}  ${progress.text}`);
      if (this.#events.length > 50) this.#events.shift();
    }
  }

  /** Lines no longer than `columns` without their colors, no more than `rows`. */
  render(columns: number, rows: number): string {
    const progress = this.#last;
    if (progress === undefined) return '';
    const width = Math.max(20, columns);
    const { errors, thresholds } = progress;
    const lines = [...this.#head(progress, width), ...this.#traffic(progress, width)];
    const reasons = Object.entries(errors).slice(0, 6);
    if (reasons.length > 0) {
      const text = reasons.map(([reason, count]) => `${reason} ×${count}`).join('  ');
      lines.push(['errors   ', ['red', text]]);
    }
    // What follows is shown where it fits as a whole.
    const details = thresholdLines(thresholds);
    if (details.length > 0 && lines.length + details.length + 1 <= rows) {
      lines.push([], ...details);
    }
    // On a small terminal, what is known is more useful than an empty line.
    for (let at = lines.length - 1; at > 1 && lines.length > rows; at--) {
      if (lines[at]?.length === 0) lines.splice(at, 1);
    }
    const room = Math.max(0, rows - lines.length - 1);
    if (room > 1) {
      lines.push([], ...this.#events.slice(-(room - 1)).map((event): Span[] => [['dim', event]]));
    }
    return lines
      .slice(0, rows)
      .map((line) => paintedLine(line, width, this.#look.paint))
      .join('\n');
  }

  #head(progress: Progress, width: number): Span[][] {
    const { states, planned, plan, seed, atMs } = progress;
    const counts = deviceStates
      .filter((state) => states[state] > 0)
      .flatMap((state): Span[] => [[stateColors[state], `${states[state]} ${state}`], '  ']);
    return [
      [
        ['bold', `flotilla sim  ${plan}`],
        `  seed ${seed}  ${clock(atMs)}   `,
        ['dim', this.#look.ending()],
      ],
      [],
      ...phaseLines(progress, width),
      [],
      ['devices  ', ...stateBar(states, planned, Math.min(40, width - 12))],
      ['         ', ...counts, `of ${planned}`],
      [],
    ];
  }

  #traffic({ totals, second, thresholds }: Progress, width: number): Span[][] {
    const wrong = (count: number, text: string): Span =>
      count > 0 ? ['red', `${count} ${text}`] : `${count} ${text}`;
    const chart = (values: readonly number[]): Span => ['cyan', sparkline(values, width - 30)];
    const cpu =
      `cpu      simulator ${percent(second?.simulatorCpu)}` +
      (second?.brokerCpu === undefined ? '' : `   broker ${percent(second.brokerCpu)}`);
    const latencies = [
      latencyLine('end to end', second?.endToEnd),
      latencyLine('publish → ack', second?.publishAck),
      latencyLine('connect', second?.connect),
    ].filter((line) => line !== '');
    return [
      ['sent     ', chart(this.#sent), ` ${last(this.#sent)}/s  ${totals.published} in total`],
      [
        ...['received ', chart(this.#received)],
        ` ${last(this.#received)}/s  ${totals.delivered} in total`,
      ],
      [
        `         ${totals.acknowledged} acknowledged  `,
        ...[wrong(totals.duplicated, 'duplicated'), '  '],
        wrong(totals.misdelivered, 'misdelivered'),
      ],
      // Above the latencies, which a small terminal may cut off.
      ...(thresholds.length === 0 ? [] : [summaryLine(thresholds)]),
      [],
      ...latencies.map((line) => [line]),
      [cpu],
    ];
  }
}

function phaseLines({ phases, atMs }: Progress, width: number): Span[][] {
  if (phases.length === 0) return [['phase    –']];
  return phases.map(({ name, sinceMs, ofMs }) => {
    const tookMs = Math.max(0, atMs - sinceMs);
    if (ofMs === undefined || ofMs >= endlessMs) return [`phase    ${name}  for ${clock(tookMs)}`];
    const cells = Math.max(10, Math.min(30, width - name.length - 30));
    const full = Math.round(Math.min(1, tookMs / ofMs) * cells);
    return [
      ...[`phase    ${name}  `, ['cyan', '█'.repeat(full)] as const],
      ['dim', '░'.repeat(cells - full)],
      `  ${clock(tookMs)} of ${clock(ofMs)}`,
    ];
  });
}

/** `2 met so far  1 missed: devices.failed <= 0, now 3  1 not yet decided`. */
function summaryLine(thresholds: readonly StandingThreshold[]): Span[] {
  const count = (state: StandingThreshold['state']): number =>
    thresholds.filter((one) => one.state === state).length;
  const [passed, failed, open] = [count('pass'), count('fail'), count('open')];
  const [first] = thresholds.filter(({ state }) => state === 'fail');
  return [
    'thresholds ',
    ...[['green', `${passed} met so far`] as const, '  '],
    ...(failed === 0 || first === undefined
      ? []
      : [['red', `${failed} missed: ${thresholdText(first)}`] as const, '  ']),
    ...(open === 0 ? [] : [['dim', `${open} not yet decided`] as const]),
  ];
}

const order = { fail: 0, open: 1, pass: 2 } as const;

/** One line per threshold. */
function thresholdLines(thresholds: readonly StandingThreshold[]): Span[][] {
  const sorted = thresholds.toSorted((one, other) => order[one.state] - order[other.state]);
  return sorted.slice(0, thresholdLinesMax).map((one): Span[] => {
    const text = thresholdText(one);
    if (one.state === 'pass') return ['         ', ['green', '✓ '], text];
    if (one.state === 'fail') return ['         ', ['red', `✗ ${text}`]];
    return ['         ', ['dim', `· ${text}`]];
  });
}

function thresholdText({ name, limit, value }: StandingThreshold): string {
  return `${name} ${limit}${value === null ? '' : `, now ${Number(value.toPrecision(6))}`}`;
}

function stateBar(states: Progress['states'], planned: number, cells: number): Span[] {
  const share = (count: number): number => Math.round((count / Math.max(1, planned)) * cells);
  const online = share(states.online);
  const connecting = Math.min(cells - online, share(states.connecting));
  const away = Math.min(cells - online - connecting, share(states.offline + states.failed));
  return [
    ['green', '█'.repeat(online)],
    ['yellow', '▒'.repeat(connecting)],
    [states.failed > 0 ? 'red' : 'yellow', 'x'.repeat(away)],
    ['dim', '·'.repeat(cells - online - connecting - away)],
  ];
}

function sparkline(values: readonly number[], cells: number): string {
  const shown = values.slice(-Math.max(5, cells));
  const most = Math.max(1, ...shown);
  return shown.map((value) => bars[Math.ceil((value / most) * (bars.length - 1))] ?? ' ').join('');
}

function latencyLine(
  name: string,
  sample: { p50: number; p95: number; p99: number } | undefined,
): string {
  if (sample === undefined) return '';
  return `${name.padEnd(14)} p50 ${ms(sample.p50)}   p95 ${ms(sample.p95)}   p99 ${ms(sample.p99)}`;
}

function percent(share: number | undefined): string {
  return share === undefined ? '–' : `${(share * 100).toFixed(0)} %`;
}

function last(values: readonly number[]): string {
  return Math.round(values.at(-1) ?? 0).toString();
}

function keep(list: number[], value: number): void {
  list.push(value);
  if (list.length > historyMaxSeconds) list.shift();
}
