/** Creates tokens. @module */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { problemFrom, type ApiProblem } from '../../api/call-api.ts';
import { api } from '../../api/page-api.ts';
import type { ApiGroupToken, ApiToken } from '../../api/api-types.ts';
import { ProblemText } from '../../parts/notices.tsx';
import { RequiredField } from '../../parts/required-field.tsx';
import { RoleField } from '../../parts/role-field.tsx';
import { Panel } from '../../parts/small-parts.tsx';
import { TokenDialog } from '../../parts/token-dialog.tsx';

const lifetimes = [
  [3600, '1 hour'],
  [86_400, '1 day'],
  [604_800, '7 days'],
  [2_592_000, '30 days'],
] as const;

interface TokenDraft {
  readonly kind: 'device' | 'group';
  readonly device: string;
  /** Empty: none, which only a token for one device can have. */
  readonly group: string;
  /** Empty: the role is decided without the token. */
  readonly role: string;
  readonly uses: number;
  readonly ttlSeconds: number;
}

interface TokenFieldProps {
  readonly draft: TokenDraft;
  readonly change: (part: Partial<TokenDraft>) => void;
}

const emptyDraft: TokenDraft = {
  kind: 'device',
  device: '',
  group: '',
  role: '',
  uses: 10,
  ttlSeconds: 86_400,
};

export function TokenForm(): JSX.Element {
  const [draft, setDraft] = useState(emptyDraft);
  const [token, setToken] = useState<ApiToken | ApiGroupToken>();
  const [problem, setProblem] = useState<ApiProblem>();
  const change = (part: Partial<TokenDraft>): void => {
    setDraft((before) => ({ ...before, ...part }));
  };
  const create = (event: Event): void => {
    event.preventDefault();
    setProblem(undefined);
    createToken(draft).then(setToken, (error: unknown) => setProblem(problemFrom(error)));
  };
  return (
    <Panel title="New token">
      <form class="publish" onSubmit={create} aria-label="New token">
        <KindField draft={draft} change={change} />
        <DevicesField draft={draft} change={change} />
        <GroupField draft={draft} change={change} />
        <RoleField
          value={draft.role}
          change={(role) => change({ role })}
          unset="device, or of the profile"
        />
        <LifetimeField draft={draft} change={change} />
        <button type="submit" class="primary">
          Create token
        </button>
        <ProblemText problem={problem} />
      </form>
      {token === undefined ? null : <TokenDialog token={token} close={() => setToken(undefined)} />}
    </Panel>
  );
}

async function createToken(draft: TokenDraft): Promise<ApiToken | ApiGroupToken> {
  const { kind, device, group, role, uses, ttlSeconds } = draft;
  const common = { ttlSeconds, ...(role === '' ? {} : { role }) };
  return kind === 'device'
    ? await api.createToken({ body: { device, ...common, ...(group === '' ? {} : { group }) } })
    : await api.createGroupToken({ body: { group, uses, ...common } });
}

function KindField({ draft, change }: TokenFieldProps): JSX.Element {
  return (
    <label class="field">
      <span>For</span>
      <select
        value={draft.kind}
        onChange={({ currentTarget }) =>
          change({ kind: currentTarget.value === 'group' ? 'group' : 'device' })
        }
      >
        <option value="device">one device</option>
        <option value="group">many devices of a group</option>
      </select>
    </label>
  );
}

/** Which device, or how many. */
function DevicesField({ draft, change }: TokenFieldProps): JSX.Element {
  if (draft.kind === 'device') {
    return (
      <RequiredField
        label="Device id"
        value={draft.device}
        change={(device) => change({ device })}
        maxLength={128}
      />
    );
  }
  return (
    <label class="field">
      <span>Devices</span>
      <input
        type="number"
        min={1}
        max={1_000_000}
        value={draft.uses}
        required
        onInput={({ currentTarget }) => change({ uses: Number(currentTarget.value) })}
      />
    </label>
  );
}

function GroupField({ draft, change }: TokenFieldProps): JSX.Element {
  const isForGroup = draft.kind === 'group';
  return (
    <label class="field grow">
      <span>{isForGroup ? 'Group' : 'Group (empty: none)'}</span>
      <input
        value={draft.group}
        maxLength={128}
        required={isForGroup}
        onInput={({ currentTarget }) => change({ group: currentTarget.value })}
      />
    </label>
  );
}

function LifetimeField({ draft, change }: TokenFieldProps): JSX.Element {
  return (
    <label class="field">
      <span>Valid for</span>
      <select
        value={draft.ttlSeconds}
        onChange={({ currentTarget }) => change({ ttlSeconds: Number(currentTarget.value) })}
      >
        {lifetimes.map(([seconds, text]) => (
          <option key={seconds} value={seconds}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}
