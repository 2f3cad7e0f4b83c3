/** The actions for the selected devices. @module */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { ActionDialog } from '../../parts/action-dialog.tsx';
import { notify } from '../../parts/notices.tsx';
import { RevocationReasonField } from '../../parts/revocation-reason.tsx';
import { formatCount } from '../../parts/small-parts.tsx';
import {
  listActions,
  listActionDevicesMax,
  runBulk,
  type ListAction,
  type Selection,
} from './list-action.ts';

const labels: Readonly<Record<ListAction, string>> = {
  suspend: 'Suspend',
  resume: 'Resume',
  edit: 'Change group',
  revoke: 'Revoke',
  delete: 'Delete',
};
const effects: Readonly<Record<ListAction, string>> = {
  suspend: 'They are disconnected and cannot connect until they are resumed.',
  resume: 'They can connect again.',
  edit: 'The policy applies to them as to the new group at once.',
  revoke: 'Their certificates never work again. Each device needs a new token to come back.',
  delete: 'Their certificates are revoked, and the registry forgets them.',
};
const isDangerous = (action: ListAction): boolean => action === 'revoke' || action === 'delete';

export interface BulkBarProps {
  readonly selection: Selection;
  readonly clear: () => void;
  readonly changed: () => void;
}

export function BulkBar({ selection, clear, changed }: BulkBarProps): JSX.Element {
  const [action, setAction] = useState<ListAction>();
  const count = selection.kind === 'ids' ? selection.ids.size : selection.count;
  return (
    <div class="bulk" role="region" aria-label="Actions for the selected devices">
      <strong>{formatCount(count)} selected</strong>
      {listActions.map((one) => (
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
  readonly action: ListAction;
  readonly count: number;
  readonly selection: Selection;
  readonly close: () => void;
  readonly done: () => void;
}

function BulkDialog({ action, count, selection, close, done }: BulkDialogProps): JSX.Element {
  const [value, setValue] = useState(action === 'revoke' ? 'unspecified' : '');
  const run = async (): Promise<void> => {
    const result = await runBulk(action, selection, value);
    const failed = result.failures
      .slice(0, 3)
      .map(({ id, code }) => `${id} (${code})`)
      .join(', ');
    notify(
      `${labels[action]}: ${formatCount(result.changed)} of ${formatCount(result.matched)} done.${failed === '' ? '' : ` Failed: ${failed}`}`,
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
      {count > listActionDevicesMax ? (
        <p class="bad">
          One action changes at most {formatCount(listActionDevicesMax)} devices. Narrow the filter.
        </p>
      ) : null}
      {selection.kind === 'ids' ? (
        <p class="faint">
          {[...selection.ids].slice(0, 10).join(', ')}
          {count > 10 ? ', …' : ''}
        </p>
      ) : (
        <p class="faint">
          All devices that match the filter. If their number has changed by then, nothing is
          changed.
        </p>
      )}
      {action === 'revoke' ? <RevocationReasonField value={value} change={setValue} /> : null}
      {action === 'edit' ? (
        <label class="field">
          <span>Group (empty: none)</span>
          <input
            value={value}
            maxLength={128}
            onInput={({ currentTarget }) => setValue(currentTarget.value)}
          />
        </label>
      ) : null}
    </ActionDialog>
  );
}
