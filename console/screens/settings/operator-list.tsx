import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { api } from '../../api/page-api.ts';
import type { ApiLink, ApiOperator } from '../../api/api-types.ts';
import { sessionState } from '../../api/session-state.ts';
import { useResource } from '../../api/use-resource.ts';
import { choiceOf } from '../../parts/choice.ts';
import { DataTable, type Column } from '../../parts/data-table.tsx';
import { notifyFailure, ProblemText } from '../../parts/notices.tsx';
import { Badge, CopyText, Empty, Panel } from '../../parts/small-parts.tsx';
import { TimeText } from '../../parts/time-text.tsx';
import {
  AddOperatorDialog,
  DeleteOperatorDialog,
  operatorRoleNames,
  OwnChangeDialog,
  putOperator,
  type OperatorChange,
} from './operator-dialogs.tsx';

const linkSeconds = 3600;

type OpenDialog =
  | { readonly kind: 'add' }
  | { readonly kind: 'change'; readonly change: OperatorChange }
  | { readonly kind: 'delete'; readonly name: string };

/** Who can sign in. */
export function OperatorList(): JSX.Element {
  const { data, problem, reload } = useResource((client) => client.listOperators());
  const [open, setOpen] = useState<OpenDialog>();
  const [link, setLink] = useState<ApiLink>();
  const dialog = { changed: reload, close: () => setOpen(undefined) };
  const change = (wanted: OperatorChange): void => {
    const state = sessionState.value;
    const isOwn = state.kind === 'signed-in' && state.info.operator === wanted.name;
    if (isOwn) setOpen({ kind: 'change', change: wanted });
    else putOperator(wanted).then(reload, notifyFailure);
  };
  const createLink = (operator: string): void => {
    api
      .createSignInLink({ body: { operator, ttlSeconds: linkSeconds } })
      .then(setLink, notifyFailure);
  };
  const actions = {
    change,
    createLink,
    remove: (name: string) => setOpen({ kind: 'delete', name }),
  };
  return (
    <Panel
      title="Operators"
      aside={
        <button type="button" onClick={() => setOpen({ kind: 'add' })}>
          Add an operator
        </button>
      }
    >
      <ProblemText problem={problem} />
      {data?.operators.length === 0 ? (
        <Empty title="No operator yet: only the administrator's certificate can sign in." />
      ) : (
        <DataTable
          label="List of operators"
          rows={data?.operators ?? []}
          columns={columns(actions)}
          keyOf={({ name }) => name}
        />
      )}
      {link === undefined ? null : <SignInLink link={link} />}
      {open?.kind === 'add' ? <AddOperatorDialog {...dialog} /> : null}
      {open?.kind === 'change' ? <OwnChangeDialog {...dialog} change={open.change} /> : null}
      {open?.kind === 'delete' ? <DeleteOperatorDialog {...dialog} name={open.name} /> : null}
    </Panel>
  );
}

interface RowActions {
  readonly change: (change: OperatorChange) => void;
  readonly createLink: (name: string) => void;
  readonly remove: (name: string) => void;
}

function columns(actions: RowActions): readonly Column<ApiOperator>[] {
  return [
    { title: 'Name', class: 'wrap', cell: ({ name }) => name },
    {
      title: 'Role',
      cell: (operator) => <RoleSelect operator={operator} change={actions.change} />,
    },
    {
      title: 'Status',
      cell: ({ disabled }) => (
        <Badge tone={disabled ? 'warn' : 'good'}>{disabled ? 'disabled' : 'enabled'}</Badge>
      ),
    },
    { title: 'Keys', cell: ({ keys }) => keys },
    {
      title: 'Created',
      cell: ({ createdAt, createdBy }) => (
        <>
          <TimeText at={createdAt} /> by {createdBy}
        </>
      ),
    },
    {
      title: 'Actions',
      isTitleHidden: true,
      class: 'row-actions',
      cell: (operator) => <RowButtons operator={operator} {...actions} />,
    },
  ];
}

function RoleSelect({
  operator: { name, role, disabled },
  change,
}: Pick<RowActions, 'change'> & { readonly operator: ApiOperator }): JSX.Element {
  return (
    <select
      aria-label={`Role of ${name}`}
      value={role}
      onChange={({ currentTarget }) => {
        const wanted = choiceOf(operatorRoleNames, currentTarget.value);
        // The list shows the new role when the service has it.
        currentTarget.value = role;
        change({ name, role: wanted, disabled });
      }}
    >
      {operatorRoleNames.map((one) => (
        <option key={one} value={one}>
          {one}
        </option>
      ))}
    </select>
  );
}

function RowButtons({
  operator: { name, role, disabled },
  change,
  createLink,
  remove,
}: RowActions & { readonly operator: ApiOperator }): JSX.Element {
  return (
    <>
      <button type="button" class="small" onClick={() => createLink(name)}>
        Sign-in link
      </button>{' '}
      <button
        type="button"
        class="small"
        onClick={() => change({ name, role, disabled: !disabled })}
      >
        {disabled ? 'Enable' : 'Disable'}
      </button>{' '}
      <button
        type="button"
        class="small danger"
        aria-label={`Delete ${name}`}
        onClick={() => remove(name)}
      >
        Delete
      </button>
    </>
  );
}

function SignInLink({ link }: { readonly link: ApiLink }): JSX.Element {
  return (
    <div role="status">
      <p>
        This link signs {link.operator} in, once, until <TimeText at={link.expiresAt} isAbsolute />:
      </p>
      <CopyText text={link.url} label="Copy link" />
    </div>
  );
}
