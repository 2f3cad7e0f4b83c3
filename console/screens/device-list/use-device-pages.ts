/** The pages of the device list that were read so far. @module */
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { getApi, problemFrom, type ApiProblem } from '../../api/call-api.ts';
import type { ApiDevice, ApiDevicePage } from '../../api/api-types.ts';
import { listenLive, reloadCount } from '../../api/live-feed.ts';
import { deviceListPath, type ListFilter } from './device-filter.ts';

const pageItems = 200;

export interface DevicePages {
  readonly devices: readonly ApiDevice[];
  /** How many match; undefined until the first page arrived. */
  readonly total: number | undefined;
  readonly problem: ApiProblem | undefined;
  readonly isLoading: boolean;
  readonly hasMore: boolean;
  readonly loadMore: () => void;
  readonly reload: () => void;
}

interface PagesState {
  readonly devices: readonly ApiDevice[];
  readonly total: number | undefined;
  readonly next: string | null;
  readonly problem: ApiProblem | undefined;
  readonly isLoading: boolean;
}

const start: PagesState = {
  devices: [],
  total: undefined,
  next: null,
  problem: undefined,
  isLoading: true,
};

export function useDevicePages(filter: ListFilter): DevicePages {
  const [state, setState] = useState(start);
  const [turn, setTurn] = useState(0);
  const reading = useRef<AbortController>(undefined);
  const text = JSON.stringify(filter);
  const epoch = reloadCount.value;

  const read = useCallback(
    (after: string | undefined) => {
      reading.current?.abort();
      const abort = new AbortController();
      reading.current = abort;
      const path = deviceListPath(filter, {
        limit: pageItems,
        isCounted: after === undefined,
        ...(after === undefined ? {} : { after }),
      });
      setState((before) => ({ ...before, isLoading: true }));
      getApi<ApiDevicePage>(path, abort.signal).then(
        (page) => {
          if (abort.signal.aborted) return;
          setState((before) => ({
            devices: after === undefined ? page.devices : [...before.devices, ...page.devices],
            total: page.total ?? before.total,
            next: page.next,
            problem: undefined,
            isLoading: false,
          }));
        },
        (error: unknown) => {
          if (abort.signal.aborted) return;
          setState((before) => ({ ...before, problem: problemFrom(error), isLoading: false }));
        },
      );
    },
    [text],
  );

  useEffect(() => {
    read(undefined);
    return () => reading.current?.abort();
  }, [read, turn, epoch]);

  usePresence(setState);

  return {
    devices: state.devices,
    total: state.total,
    problem: state.problem,
    isLoading: state.isLoading,
    hasMore: state.next !== null,
    loadMore: () => {
      if (!state.isLoading && state.next !== null) read(state.next);
    },
    reload: () => setTurn((before) => before + 1),
  };
}

/** Shows in the devices on the screen which of them connect and disconnect. */
function usePresence(setState: (update: (before: PagesState) => PagesState) => void): void {
  useEffect(
    () =>
      listenLive('presence', ({ changes }) => {
        const latest = new Map(changes.map((change) => [change.device, change]));
        setState((before) => ({
          ...before,
          devices: before.devices.map((device) => {
            const change = latest.get(device.id);
            if (change === undefined) return device;
            return { ...device, connected: change.connected, lastSeenAt: change.at };
          }),
        }));
      }),
    [],
  );
}
