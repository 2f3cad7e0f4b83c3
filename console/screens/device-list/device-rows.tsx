/** The table of devices. Only the rows near the visible part exist, so that a long list stays fast. @module */
import {
  elementScroll,
  observeElementOffset,
  observeElementRect,
  Virtualizer,
} from '@tanstack/virtual-core';
import type { JSX } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { ApiDevice } from '../../api/api-types.ts';
import { hasRole } from '../../api/session-state.ts';
import { changeQuery } from '../../parts/browser-location.ts';
import { devicePath, PageLink } from '../../parts/page-link.tsx';
import { OnlineMark, StatusBadge } from '../../parts/small-parts.tsx';
import { TimeText } from '../../parts/time-text.tsx';

/** As in the style sheet. */
const rowHeight = 41;
/** Rows above and below the visible part. */
const spareRows = 12;
/** Of the box before it is measured, in pixels. */
const firstHeight = 800;

export interface DeviceRowsProps {
  readonly devices: readonly ApiDevice[];
  readonly hasMore: boolean;
  readonly loadMore: () => void;
  readonly sort: string;
  readonly chosen: ReadonlySet<string>;
  readonly choose: (ids: ReadonlySet<string>) => void;
}

export function DeviceRows(props: DeviceRowsProps): JSX.Element {
  const { devices, hasMore, loadMore, sort, chosen, choose } = props;
  const box = useRef<HTMLDivElement>(null);
  const { first, last } = useVisibleRows(box, devices.length);
  const isNearEnd = hasMore && last >= devices.length - spareRows;
  useEffect(() => {
    if (isNearEnd) loadMore();
  });
  const canChoose = hasRole('operator');
  const isAllChosen = devices.length > 0 && chosen.size === devices.length;
  const toggle = (id: string): void => {
    const ids = new Set(chosen);
    if (!ids.delete(id)) ids.add(id);
    choose(ids);
  };
  return (
    <div class="scroll rows" ref={box} tabIndex={0} role="region" aria-label="Devices">
      <table class="devices" aria-rowcount={hasMore ? -1 : devices.length + 1}>
        <thead>
          <tr>
            {canChoose ? (
              <th class="check">
                <input
                  type="checkbox"
                  aria-label="Select all rows"
                  checked={isAllChosen}
                  onChange={() => choose(new Set(isAllChosen ? [] : devices.map(({ id }) => id)))}
                />
              </th>
            ) : null}
            <SortHeader name="id" label="Device" sort={sort} />
            <SortHeader name="status" label="Status" sort={sort} />
            <th>Connection</th>
            <SortHeader name="group" label="Group" sort={sort} />
            <SortHeader name="expires" label="Certificate ends" sort={sort} />
            <SortHeader name="lastSeen" label="Last seen" sort={sort} />
            <SortHeader name="created" label="Created" sort={sort} />
          </tr>
        </thead>
        <tbody>
          <Spacer rows={first} />
          {devices.slice(first, last).map((device, at) => (
            <DeviceRow
              key={device.id}
              device={device}
              index={first + at}
              isChosen={chosen.has(device.id)}
              {...(canChoose ? { toggle } : {})}
            />
          ))}
          <Spacer rows={devices.length - last} />
        </tbody>
      </table>
    </div>
  );
}

interface DeviceRowProps {
  readonly device: ApiDevice;
  readonly index: number;
  readonly isChosen: boolean;
  readonly toggle?: (id: string) => void;
}

function DeviceRow({ device, index, isChosen, toggle }: DeviceRowProps): JSX.Element {
  const { id, status, connected, group, certificates, lastSeenAt, createdAt, role } = device;
  const newest = certificates.filter((one) => one.status === 'active').at(-1);
  return (
    <tr aria-rowindex={index + 2} class={isChosen ? 'chosen' : ''}>
      {toggle === undefined ? null : (
        <td class="check">
          <input
            type="checkbox"
            aria-label={`Select ${id}`}
            checked={isChosen}
            onChange={() => toggle(id)}
          />
        </td>
      )}
      <td class="id">
        <PageLink to={devicePath(id)}>{id}</PageLink>
        {role === 'device' ? null : <small class="faint"> {role}</small>}
      </td>
      <td>
        <StatusBadge status={status} />
      </td>
      <td>
        <OnlineMark isOnline={connected} />
      </td>
      <td>{group ?? <span class="faint">none</span>}</td>
      <td class="nowrap">
        {newest === undefined ? <span class="faint">none</span> : <TimeText at={newest.notAfter} />}
      </td>
      <td class="nowrap">
        <TimeText at={lastSeenAt} />
      </td>
      <td class="nowrap">
        <TimeText at={createdAt} />
      </td>
    </tr>
  );
}

function SortHeader({
  name,
  label,
  sort,
}: {
  readonly name: string;
  readonly label: string;
  readonly sort: string;
}): JSX.Element {
  const direction = sort === name ? 'ascending' : sort === `-${name}` ? 'descending' : 'none';
  const next = direction === 'ascending' ? `-${name}` : name;
  const mark = { ascending: ' ↑', descending: ' ↓', none: '' }[direction];
  return (
    <th aria-sort={direction}>
      <button type="button" class="sort" onClick={() => changeQuery({ sort: next })}>
        {label}
        {mark}
      </button>
    </th>
  );
}

/** Takes the height of rows that do not exist. */
function Spacer({ rows }: { readonly rows: number }): JSX.Element | null {
  if (rows === 0) return null;
  return (
    <tr aria-hidden="true" class="spacer">
      <td style={{ height: `${rows * rowHeight}px` }} />
    </tr>
  );
}

/** Which rows are near the visible part of the box. */
function useVisibleRows(
  box: { readonly current: HTMLDivElement | null },
  count: number,
): { readonly first: number; readonly last: number } {
  const [, setTurn] = useState(0);
  const [virtualizer] = useState(
    () =>
      new Virtualizer<HTMLDivElement, HTMLTableRowElement>({
        count,
        getScrollElement: () => box.current,
        estimateSize: () => rowHeight,
        overscan: spareRows,
        initialRect: { width: 0, height: firstHeight },
        observeElementRect,
        observeElementOffset,
        scrollToFn: elementScroll,
        onChange: () => setTurn((turn) => turn + 1),
      }),
  );
  virtualizer.setOptions({ ...virtualizer.options, count });
  useEffect(() => virtualizer._didMount(), []);
  useLayoutEffect(() => virtualizer._willUpdate());
  const rows = virtualizer.getVirtualItems();
  return { first: rows.at(0)?.index ?? 0, last: (rows.at(-1)?.index ?? -1) + 1 };
}
