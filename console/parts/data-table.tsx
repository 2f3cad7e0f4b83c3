/** A table in a frame that scrolls, from a description of its columns. @module */
import type { ComponentChildren, JSX } from 'preact';

export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => ComponentChildren;
  /** The title is for screen readers only, because the cells explain themselves. */
  readonly isTitleHidden?: boolean;
  readonly class?: string;
}

export interface DataTableProps<Row> {
  readonly label: string;
  readonly rows: readonly Row[];
  readonly columns: readonly Column<Row>[];
  readonly keyOf: (row: Row) => string;
  /** Whether the frame has a maximum height. */
  readonly isShort?: boolean;
}

export function DataTable<Row>(props: DataTableProps<Row>): JSX.Element {
  const { label, rows, columns, keyOf, isShort = false } = props;
  return (
    <div class={isShort ? 'scroll short' : 'scroll'} tabIndex={0} role="region" aria-label={label}>
      <table>
        <thead>
          <tr>
            {columns.map(({ title, isTitleHidden = false }) => (
              <th key={title}>{isTitleHidden ? <span class="hidden">{title}</span> : title}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)}>
              {columns.map(({ title, cell, class: name }) => (
                <td key={title} class={name}>
                  {cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
