/** All devices: filters in the address, rows on demand, actions for many. @module */
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { hasRole } from '../../api/session-state.ts';
import { changeQuery, pageLocation } from '../../parts/browser-location.ts';
import { ProblemText } from '../../parts/notices.tsx';
import { PageLink } from '../../parts/page-link.tsx';
import { CopyText, Empty, formatCount } from '../../parts/small-parts.tsx';
import type { Selection } from './list-action.ts';
import { BulkBar } from './bulk-bar.tsx';
import { DeviceFilterForm } from './device-filter-form.tsx';
import { DeviceRows } from './device-rows.tsx';
import { csvPath, filterOf, type ListFilter } from './device-filter.ts';
import { useDevicePages } from './use-device-pages.ts';

const nothing: ReadonlySet<string> = new Set();

export function DeviceListScreen(): JSX.Element {
  const { query } = pageLocation.value;
  const filter = filterOf(query);
  const text = JSON.stringify(filter);
  const pages = useDevicePages(filter);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(nothing);
  const [isAll, setAll] = useState(false);
  const clear = (): void => {
    setChosen(nothing);
    setAll(false);
  };
  // What is selected belongs to the list that was on the screen.
  useEffect(clear, [text]);
  const selection: Selection = isAll
    ? { kind: 'all', filter, count: pages.total ?? 0 }
    : { kind: 'ids', ids: chosen };
  const { devices, total } = pages;
  const isFiltered = Object.keys(filter).some((name) => name !== 'sort');
  return (
    <>
      <DeviceListTitle filter={filter} total={total} isFiltered={isFiltered} />
      <DeviceFilterForm filter={filter} />
      <ProblemText problem={pages.problem} />
      {hasRole('operator') && (isAll || chosen.size > 0) ? (
        <>
          <BulkBar selection={selection} clear={clear} changed={pages.reload} />
          {!isAll &&
          chosen.size === devices.length &&
          (total ?? 0) > devices.length &&
          filter.role === undefined ? (
            <p>
              <button type="button" class="plain" onClick={() => setAll(true)}>
                Select all {formatCount(total ?? 0)} that match
              </button>
            </p>
          ) : null}
        </>
      ) : null}
      {total === 0 && !pages.isLoading ? (
        <NoDevices isFiltered={isFiltered} />
      ) : (
        <DeviceRows
          devices={devices}
          hasMore={pages.hasMore}
          loadMore={pages.loadMore}
          sort={filter.sort ?? 'id'}
          chosen={isAll ? new Set(devices.map(({ id }) => id)) : chosen}
          choose={(ids) => {
            setAll(false);
            setChosen(ids);
          }}
        />
      )}
    </>
  );
}

interface DeviceListTitleProps {
  readonly filter: ListFilter;
  /** Undefined until the first page arrived. */
  readonly total: number | undefined;
  readonly isFiltered: boolean;
}

function DeviceListTitle({ filter, total, isFiltered }: DeviceListTitleProps): JSX.Element {
  return (
    <div class="title-row">
      <h1>Devices</h1>
      <p class="faint" role="status">
        {total === undefined
          ? 'Loading…'
          : `${formatCount(total)} ${isFiltered ? 'match' : 'in all'}`}
      </p>
      <span class="right">
        <a class="button" href={csvPath(filter)} download="devices.csv">
          Export {isFiltered ? 'these' : 'all'} (CSV)
        </a>{' '}
        <a class="button" href="/v1/devices/export" download="devices.jsonl">
          Export all (JSON lines)
        </a>
      </span>
    </div>
  );
}

function NoDevices({ isFiltered }: { readonly isFiltered: boolean }): JSX.Element {
  if (isFiltered) {
    return (
      <Empty title="No device matches.">
        <p>
          <button type="button" onClick={() => changeQuery(noFilter)}>
            Remove all filters
          </button>
        </p>
      </Empty>
    );
  }
  return (
    <Empty title="There is no device yet.">
      <p>
        Create a token on the page <PageLink to="enrollment">Enrollment</PageLink>, or enroll a
        device on this machine:
      </p>
      <CopyText text="flotilla device enroll --id first-device --out first-device" />
    </Empty>
  );
}

const noFilter = {
  search: undefined,
  status: undefined,
  online: undefined,
  group: undefined,
  role: undefined,
  policyRole: undefined,
  attribute: undefined,
  expires: undefined,
};
