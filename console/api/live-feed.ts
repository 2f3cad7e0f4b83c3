/**
 * The events of the service, in one stream for the whole page. The browser resumes a stream that broke; a
 * stream that the service refused is opened again after a pause.
 *
 * @module
 */
import { signal } from '@preact/signals';
import { loadSession } from './call-api.ts';
import type {
  ApiAuditLine,
  ApiBrokers,
  ApiMetricsPoint,
  ApiPresence,
  ApiSimulationEvent,
} from './api-types.ts';

interface LiveEvents {
  readonly audit: ApiAuditLine;
  readonly brokers: ApiBrokers;
  readonly metrics: ApiMetricsPoint;
  readonly presence: ApiPresence;
  readonly simulation: ApiSimulationEvent;
}
type LiveType = keyof LiveEvents;
type Listener = (data: unknown) => void;

const liveTypes = ['audit', 'brokers', 'metrics', 'presence', 'simulation'] as const;
const retryMs = 3000;

/** Whether the page is connected to the service; `lost` has the time in ms. */
export const feedState = signal<
  { readonly kind: 'connecting' | 'open' } | { readonly kind: 'lost'; readonly sinceMs: number }
>({ kind: 'connecting' });

/** Grows when events may be missing: what is shown must be read again. */
export const reloadCount = signal(0);

const listeners = new Map<LiveType, Set<Listener>>();

/** Calls the listener with each event of a type. Returns a function that ends this. */
export function listenLive<Type extends LiveType>(
  type: Type,
  listener: (data: LiveEvents[Type]) => void,
): () => void {
  const all = listeners.get(type) ?? new Set();
  listeners.set(type, all);
  // The service sends the data of each type in its own shape.
  const untyped: Listener = (data) => listener(data as LiveEvents[Type]);
  all.add(untyped);
  return () => void all.delete(untyped);
}

/** Opens the stream. Returns a function that closes it. A change of operators reads again who is signed in. */
export function openLiveFeed(): () => void {
  let source: EventSource | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isClosed = false;
  const lost = (): void => {
    if (feedState.value.kind !== 'lost') feedState.value = { kind: 'lost', sinceMs: Date.now() };
  };
  const open = (): void => {
    if (isClosed) return;
    const current = new EventSource(`/v1/events?types=${liveTypes.join(',')}`);
    source = current;
    current.addEventListener('hello', () => {
      if (feedState.value.kind === 'lost') reloadCount.value++;
      feedState.value = { kind: 'open' };
    });
    current.addEventListener('open', () => {
      if (feedState.value.kind === 'lost') reloadCount.value++;
      feedState.value = { kind: 'open' };
    });
    current.addEventListener('gap', () => {
      reloadCount.value++;
    });
    current.addEventListener('error', () => {
      lost();
      if (current.readyState !== EventSource.CLOSED) return;
      // The session may be over: then the sign-in page appears, and this stream is closed.
      timer = setTimeout(() => void loadSession().then(open, open), retryMs);
    });
    for (const type of liveTypes) {
      current.addEventListener(type, (event: MessageEvent<string>) => {
        const data: unknown = JSON.parse(event.data);
        for (const listener of listeners.get(type) ?? []) listener(data);
      });
    }
  };
  const stopListening = listenLive('audit', ({ action }) => {
    if (action.startsWith('operator-')) void loadSession().catch(() => undefined);
  });
  open();
  return () => {
    isClosed = true;
    stopListening();
    clearTimeout(timer);
    source?.close();
    feedState.value = { kind: 'connecting' };
  };
}
