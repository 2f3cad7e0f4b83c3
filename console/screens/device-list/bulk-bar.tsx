/** The actions for the selected devices. @module */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { ActionDialog } from '../../parts/action-dialog.tsx';
import { notify } from '../../parts/notices.tsx';
import { RevocationReasonField } from '../../parts/revocation-reason.tsx';
import { formatCount } from '../../parts/small-parts.tsx';
import { bulkActions, bulkDevicesMax, idsOf, runBulk, type BulkAction } from './bulk-action.ts';
import type { ListFilter } from './device-filter.ts';

const labels: Readonly<Record<BulkAction, string>> = {
  suspend: 'Suspend',
  resume: 'Resume',
  disconnect: 'Disconnect',
  group: 'Change group',
  revoke: 'Revoke',
  delete: 'Delete',
};
const effects: Readonly<Record<BulkAction, string>> = {
  suspend: 'They are disconnected and cannot connect until they are resumed.',
  resume: 'They can connect again.',
  disconnect: 'Their connections end. Devices that are allowed to connect come back by themselves.',
  group: 'The policy applies to them as to the new group at once.',
  revoke: 'Their certificates never work again. Each device needs a new token to come back.',
  delete: 'Their certificates are revoked, and the registry forgets them.',
};
const isDangerous = (action: BulkAction): boolean => action === 'revoke' || action === 'delete';

/** What is selected: some ids, or all devices that match a filter. */
export type Selection =
  | { readonly kind: 'ids'; readonly ids: ReadonlySet<string> }
  | { readonly kind: 'all'; readonly filter: ListFilter; readonly count: number };

export interface BulkBarProps {
  readonly selection: Selection;
  readonly clear: () => void;
  readonly changed: () => void;
}

export function BulkBar({ selection, clear, changed }: BulkBarProps): JSX.Element {
  const [action, setAction] = useState<BulkAction>();
  const count = selection.kind === 'ids' ? selection.ids.size : selection.count;
  return (
    <div class="bulk" role="region" aria-label="Actions for the selected devices">
      <strong>{formatCount(count)} selected</strong>
      {bulkActions.map((one) => (
        <button
          key={one}
          type="button"
          class={isDangerous(one) ? 'danger' : ''}
          onClick={() => setAction(one)}
        >
          {labels[one]}
        </button>
      ))}
      <button type="button" class="plain" onClick={clear}>
        Clear selection
      </button>
      {action === undefined ? null : (
        <BulkDialog
          action={action}
          count={count}
          selection={selection}
          close={() => setAction(undefined)}
          done={() => {
            clear();
            changed();
          }}
        />
      )}
    </div>
  );
}

interface BulkDialogProps {
  readonly action: BulkAction;
  readonly count: number;
  readonly selection: Selection;
  readonly close: () => void;
  readonly done: () => void;
}

function BulkDialog({ action, count, selection, close, done }: BulkDialogProps): JSX.Element {
  const [value, setValue] = useState(action === 'revoke' ? 'unspecified' : '');
  const [progress, setProgress] = useState<number>();
  const run = async (): Promise<void> => {
    const ids = selection.kind === 'ids' ? [...selection.ids] : await idsOf(selection.filter);
    const result = await runBulk(action, ids, value, setProgress);
    const failed = result.failed
      .slice(0, 3)
      .map(({ id, reason }) => `${id} (${reason})`)
      .join(', ');
    notify(
      `${labels[action]}: ${formatCount(result.done)} of ${formatCount(ids.length)} done.${failed === '' ? '' : ` Failed: ${failed}${result.failed.length > 3 ? ', …' : ''}`}`,
      failed !== '',
    );
    done();
  };
  return (
    <ActionDialog
      title={`${labels[action]}: ${formatCount(count)} ${count === 1 ? 'device' : 'devices'}`}
      action={labels[action]}
      isDangerous={isDangerous(action)}
      confirmation={`${labels[action].toLowerCase()} ${count}`}
      run={run}
      close={close}
    >
      <p>{effects[action]}</p>
      {count > bulkDevicesMax ? (
        <p>
          One action changes at most {formatCount(bulkDevicesMax)} devices; repeat it for the rest.
        </p>
      ) : null}
      {selection.kind === 'ids' ? (
        <p class="faint">
          {[...selection.ids].slice(0, 10).join(', ')}
          {count > 10 ? ', …' : ''}
        </p>
      ) : (
        <p class="faint">All devices that match the filter when the action starts.</p>
      )}
      {action === 'revoke' ? <RevocationReasonField value={value} change={setValue} /> : null}
      {action === 'group' ? (
        <label class="field">
          <span>Group (empty: none)</span>
          <input
            value={value}
            maxLength={128}
            onInput={({ currentTarget }) => setValue(currentTarget.value)}
          />
        </label>
      ) : null}
      {progress === undefined ? null : (
        <p role="status">
          {formatCount(progress)} of {formatCount(count)}
        </p>
      )}
    </ActionDialog>
  );
}
