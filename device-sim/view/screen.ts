/**
 * The live screen of a run: renders progress events as text for a terminal. The command line clears the
 * screen and prints it.
 *
 * @module
 */
import { deviceStates } from '../device/sim-device.ts';
import { clock, ms, type Progress } from './progress.ts';

const historyMaxSeconds = 120;
/** A phase of a year or more runs until it is stopped. */
const endlessMs = 365 * 86_400_000;
const bars = ' ▁▂▃▄▅▆▇█';

/** Keeps the last events and renders them. */
export class Screen {
  readonly #sent: number[] = [];
  readonly #received: number[] = [];
  readonly #events: string[] = [];
  #last: Progress | undefined;

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

  /** Lines no longer than `columns`, no more than `rows`. */
  render(columns: number, rows: number): string {
    const progress = this.#last;
    if (progress === undefined) return '';
    const { states, planned, second, totals } = progress;
    const width = Math.max(20, columns);
    const lines = [
      `flotilla sim  ${progress.plan}  seed ${progress.seed}  ${clock(progress.atMs)}   Ctrl-C stops the run`,
      '',
      ...phaseLines(progress, width),
      '',
      `devices  ${stateBar(states, planned, Math.min(40, width - 12))}`,
      `         ${deviceStates
        .filter((state) => states[state] > 0)
        .map((state) => `${states[state]} ${state}`)
        .join('  ')}  of ${planned}`,
      '',
      `sent     ${sparkline(this.#sent, width - 30)} ${last(this.#sent)}/s  ${totals.published} in total`,
      `received ${sparkline(this.#received, width - 30)} ${last(this.#received)}/s  ${totals.delivered} in total`,
      `         ${totals.acknowledged} acknowledged  ${totals.duplicated} duplicated  ${totals.misdelivered} misdelivered`,
      '',
      latencyLine('end to end', second?.endToEnd),
      latencyLine('publish → ack', second?.publishAck),
      latencyLine('connect', second?.connect),
      `cpu      simulator ${percent(second?.simulatorCpu)}${second?.brokerCpu === undefined ? '' : `   broker ${percent(second.brokerCpu)}`}`,
    ].filter((line, index, all) => line !== '' || all[index - 1] !== '');
    const errors = Object.entries(progress.errors).slice(0, 6);
    if (errors.length > 0) {
      lines.push(
        '',
        'errors   ' + errors.map(([reason, count]) => `${reason} ×${count}`).join('  '),
      );
    }
    const room = Math.max(0, rows - lines.length - 1);
    if (room > 1) lines.push('', ...this.#events.slice(-(room - 1)));
    return lines
      .slice(0, rows)
      .map((line) => line.slice(0, width))
      .join('\n');
  }
}

function phaseLines({ phases, atMs }: Progress, width: number): string[] {
  if (phases.length === 0) return ['phase    –'];
  return phases.map(({ name, sinceMs, ofMs }) => {
    const tookMs = Math.max(0, atMs - sinceMs);
    if (ofMs === undefined || ofMs >= endlessMs) return `phase    ${name}  for ${clock(tookMs)}`;
    const cells = Math.max(10, Math.min(30, width - name.length - 30));
    const full = Math.round(Math.min(1, tookMs / ofMs) * cells);
    return `phase    ${name}  ${'█'.repeat(full)}${'░'.repeat(cells - full)}  ${clock(tookMs)} of ${clock(ofMs)}`;
  });
}

function stateBar(states: Progress['states'], planned: number, cells: number): string {
  const share = (count: number): number => Math.round((count / Math.max(1, planned)) * cells);
  const online = share(states.online);
  const connecting = Math.min(cells - online, share(states.connecting));
  const away = Math.min(cells - online - connecting, share(states.offline + states.failed));
  return `${'█'.repeat(online)}${'▒'.repeat(connecting)}${'x'.repeat(away)}${'·'.repeat(cells - online - connecting - away)}`;
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
