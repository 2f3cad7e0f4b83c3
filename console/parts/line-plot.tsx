import type { JSX } from 'preact';

const width = 600;
const height = 120;

export interface LinePlotProps {
  readonly label: string;
  readonly unit: string;
  /** Oldest first. */
  readonly points: readonly { readonly atMs: number; readonly value: number }[];
}

/** A line over time that starts at zero, with its last and largest value as text. */
export function LinePlot({ label, unit, points }: LinePlotProps): JSX.Element {
  const last = points.at(-1)?.value ?? 0;
  const largest = points.reduce((max, { value }) => Math.max(max, value), 0);
  const top = largest === 0 ? 1 : largest * 1.15;
  const first = points[0]?.atMs ?? 0;
  const span = Math.max(1, (points.at(-1)?.atMs ?? 1) - first);
  const path = points
    .map(({ atMs, value }, at) => {
      const x = (((atMs - first) / span) * width).toFixed(1);
      const y = (height - (value / top) * height).toFixed(1);
      return `${at === 0 ? 'M' : 'L'}${x} ${y}`;
    })
    .join('');
  const minutes = Math.max(1, Math.round(span / 60_000));
  return (
    <figure class="plot">
      <figcaption>
        <span>{label}</span>
        <strong>
          {shortNumber(last)} <small>{unit}</small>
        </strong>
      </figcaption>
      <svg
        viewBox={`0 0 ${width} ${height}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${label}: now ${shortNumber(last)} ${unit}, at most ${shortNumber(largest)} in ${minutes} minutes`}
      >
        {points.length < 2 ? null : (
          <>
            <path class="area" d={`${path}L${width} ${height}L0 ${height}Z`} />
            <path class="line" d={path} vector-effect="non-scaling-stroke" />
          </>
        )}
      </svg>
      <p class="axis faint">
        <span>{points.length < 2 ? 'collecting…' : `last ${minutes} min`}</span>
        <span>max {shortNumber(largest)}</span>
      </p>
    </figure>
  );
}

function shortNumber(value: number): string {
  return value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 1 : 0 });
}
