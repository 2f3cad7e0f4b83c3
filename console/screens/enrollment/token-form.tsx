/** Creates tokens. @module */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { problemFrom, type ApiProblem } from '../../api/call-api.ts';
import { api } from '../../api/page-api.ts';
import type { ApiGroupToken, ApiToken } from '../../api/api-types.ts';
import { choiceOf } from '../../parts/choice.ts';
import { ProblemText } from '../../parts/notices.tsx';
import { RequiredField } from '../../parts/required-field.tsx';
import { RoleField } from '../../parts/role-field.tsx';
import { Panel } from '../../parts/small-parts.tsx';
import { TokenDialog } from '../../parts/token-dialog.tsx';
import { TokenBatchDialog } from './token-batch-dialog.tsx';
import { deviceIdsIn } from './token-batch.ts';

const lifetimes = [
  [3600, '1 hour'],
  [86_400, '1 day'],
  [604_800, '7 days'],
  [2_592_000, '30 days'],
] as const;

const kinds = ['device', 'devices', 'group'] as const;
type TokenKind = (typeof kinds)[number];

interface TokenDraft {
  readonly kind: TokenKind;
  readonly device: string;
  /** Ids, as {@link deviceIdsIn} reads them. */
  readonly devices: string;
  /** Empty: none, which only tokens for named devices can have. */
  readonly group: string;
  /** Empty: the role is decided without the token. */
  readonly role: string;
  readonly uses: number;
  readonly ttlSeconds: number;
}

type CreatedTokens = ApiToken | ApiGroupToken | { readonly tokens: readonly ApiToken[] };

interface TokenFieldProps {
  readonly draft: TokenDraft;
  readonly change: (part: Partial<TokenDraft>) => void;
}

const emptyDraft: TokenDraft = {
  kind: 'device',
  device: '',
  devices: '',
  group: '',
  role: '',
  uses: 10,
  ttlSeconds: 86_400,
};

export function TokenForm(): JSX.Element {
  const [draft, setDraft] = useState(emptyDraft);
  const [made, setMade] = useState<CreatedTokens>();
  const [problem, setProblem] = useState<ApiProblem>();
  const change = (part: Partial<TokenDraft>): void => {
    setDraft((before) => ({ ...before, ...part }));
  };
  const create = (event: Event): void => {
    event.preventDefault();
    setProblem(undefined);
    createTokens(draft).then(setMade, (error: unknown) => setProblem(problemFrom(error)));
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
          {draft.kind === 'devices' ? 'Create tokens' : 'Create token'}
        </button>
        <ProblemText problem={problem} />
      </form>
      {made === undefined ? null : 'tokens' in made ? (
        <TokenBatchDialog tokens={made.tokens} close={() => setMade(undefined)} />
      ) : (
        <TokenDialog token={made} close={() => setMade(undefined)} />
      )}
    </Panel>
  );
}

async function createTokens(draft: TokenDraft): Promise<CreatedTokens> {
  const { kind, device, devices, group, role, uses, ttlSeconds } = draft;
  const common = { ttlSeconds, ...(role === '' ? {} : { role }) };
  const named = { ...common, ...(group === '' ? {} : { group }) };
  switch (kind) {
    case 'device':
      return api.createToken({ body: { device, ...named } });
    case 'devices':
      return api.createTokens({ body: { devices: deviceIdsIn(devices), ...named } });
    case 'group':
      return api.createGroupToken({ body: { group, uses, ...common } });
  }
}

function KindField({ draft, change }: TokenFieldProps): JSX.Element {
  return (
    <label class="field">
      <span>For</span>
      <select
        value={draft.kind}
        onChange={({ currentTarget }) => change({ kind: choiceOf(kinds, currentTarget.value) })}
      >
        <option value="device">one device</option>
        <option value="devices">many devices, a token each</option>
        <option value="group">many devices of a group, one token</option>
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
  if (draft.kind === 'devices') {
    return (
      <label class="field full">
        <span>Device ids, for example one on each line</span>
        <textarea
          rows={4}
          value={draft.devices}
          required
          spellcheck={false}
          onInput={({ currentTarget }) => change({ devices: currentTarget.value })}
        />
      </label>
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
