/** Lines over time. @module */
import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { chosenTheme } from './theme.tsx';

const heightPx = 120;
const lineColors = ['--accent', '--plot-second'] as const;

export interface LinePlotProps {
  readonly label: string;
  readonly unit: string;
  /** In ms, oldest first: times of the day, or times since a start. */
  readonly atMs: readonly number[];
  /** One or two lines, with a value for each time; null is a gap. */
  readonly lines: readonly {
    readonly name: string;
    readonly values: readonly (number | null)[];
  }[];
  /** Whether the times count from a start. */
  readonly isElapsed?: boolean;
}

/** Lines that start at zero. The caption has the newest values, or those under the pointer. */
export function LinePlot(props: LinePlotProps): JSX.Element {
  const { label, unit, atMs, lines, isElapsed = false } = props;
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const [pointed, setPointed] = useState<number>();
  const data = useMemo<uPlot.AlignedData>(
    () => [atMs.map((ms) => ms / 1000), ...lines.map(({ values }) => [...values])],
    [atMs, lines],
  );
  useEffect(() => {
    if (box.current === null) return;
    return drawIn(box.current, data, lines.length, isElapsed, plot, setPointed);
  }, [lines.length, isElapsed]);
  useEffect(() => plot.current?.setData(data), [data]);
  const theme = chosenTheme.value;
  useEffect(() => plot.current?.redraw(false), [theme]);
  const at = pointed === undefined ? atMs.length - 1 : Math.min(pointed, atMs.length - 1);
  const largest = Math.max(0, ...lines.map(({ values }) => largestOf(values)));
  const now = lines.map(({ name, values }) => `${name} ${shortNumber(values[at])}`).join(', ');
  return (
    <figure class="plot">
      <figcaption>
        <span>
          {label}
          {pointed === undefined ? null : (
            <span class="faint"> at {timeText(atMs[at] ?? 0, isElapsed, true)}</span>
          )}
        </span>
        <span class="values">
          {lines.map(({ name, values }, index) => (
            <span key={name} class={index === 0 ? 'first' : 'second'}>
              {lines.length > 1 ? `${name} ` : ''}
              <strong>{shortNumber(values[at])}</strong>{' '}
            </span>
          ))}
          <small>{unit}</small>
        </span>
      </figcaption>
      <div
        ref={box}
        class="canvas"
        role="img"
        aria-label={`${label}: ${now} ${unit}, at most ${shortNumber(largest)}`}
      />
      {atMs.length < 2 ? <p class="faint collecting">collecting…</p> : null}
    </figure>
  );
}

/** Draws, follows the width of the box and the theme of the system. Returns a function that ends it. */
function drawIn(
  box: HTMLDivElement,
  data: uPlot.AlignedData,
  count: number,
  isElapsed: boolean,
  plot: { current: uPlot | undefined },
  point: (index: number | undefined) => void,
): () => void {
  const drawn = new uPlot(optionsOf(box, count, isElapsed, point), data, box);
  plot.current = drawn;
  const resized = new ResizeObserver(() => {
    if (box.clientWidth > 0) drawn.setSize({ width: box.clientWidth, height: heightPx });
  });
  resized.observe(box);
  const scheme = matchMedia('(prefers-color-scheme: dark)');
  const redraw = (): void => drawn.redraw(false);
  scheme.addEventListener('change', redraw);
  return () => {
    resized.disconnect();
    scheme.removeEventListener('change', redraw);
    drawn.destroy();
    plot.current = undefined;
  };
}

function optionsOf(
  box: HTMLElement,
  count: number,
  isElapsed: boolean,
  point: (index: number | undefined) => void,
): uPlot.Options {
  const color = (name: string) => () => getComputedStyle(box).getPropertyValue(name);
  const axis = {
    stroke: color('--faint'),
    grid: { stroke: color('--line'), width: 1 },
    ticks: { show: false },
    font: '11px system-ui, sans-serif',
  };
  return {
    width: Math.max(200, box.clientWidth),
    height: heightPx,
    padding: [6, 26, 0, 0],
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { size: 6 } },
    scales: {
      x: { time: !isElapsed },
      y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.15 : 1] },
    },
    axes: [
      {
        ...axis,
        // The first label stays below the 0 of the other axis.
        size: 28,
        gap: 8,
        values: (_plot, splits, _axis, _space, stepSeconds) =>
          splits.map((at) => timeText(at * 1000, isElapsed, stepSeconds < 60)),
      },
      {
        ...axis,
        size: 44,
        gap: 4,
        space: 34,
        values: (_plot, splits) => splits.map((value) => shortNumber(value)),
      },
    ],
    series: [
      {},
      ...lineColors.slice(0, count).map((name, index) => ({
        stroke: color(name),
        width: 1.5,
        points: { show: false },
        ...(index === 0 ? { fill: color('--plot-fill') } : {}),
      })),
    ],
    hooks: { setCursor: [({ cursor }) => point(cursor.idx ?? undefined)] },
  };
}

const hourAndMinute = { hour: '2-digit', minute: '2-digit', hour12: false } as const;
const clock = new Intl.DateTimeFormat(undefined, hourAndMinute);
const clockWithSeconds = new Intl.DateTimeFormat(undefined, {
  ...hourAndMinute,
  second: '2-digit',
});

function timeText(ms: number, isElapsed: boolean, hasSeconds: boolean): string {
  if (!isElapsed) return (hasSeconds ? clockWithSeconds : clock).format(ms);
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

function largestOf(values: readonly (number | null)[]): number {
  return values.reduce<number>((max, value) => Math.max(max, value ?? 0), 0);
}

const largeNumber = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const smallNumber = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

function shortNumber(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  return value >= 10_000 ? largeNumber.format(value) : smallNumber.format(value);
}
