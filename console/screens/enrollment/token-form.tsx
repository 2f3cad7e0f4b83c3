/** Creates tokens. @module */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { problemFrom, type ApiProblem } from '../../api/call-api.ts';
import { api } from '../../api/page-api.ts';
import type { ApiGroupToken, ApiToken } from '../../api/api-types.ts';
import { ProblemText } from '../../parts/notices.tsx';
import { RoleField } from '../../parts/role-field.tsx';
import { Panel } from '../../parts/small-parts.tsx';
import { TokenDialog } from '../../parts/token-dialog.tsx';

const lifetimes = [
  [3600, '1 hour'],
  [86_400, '1 day'],
  [604_800, '7 days'],
  [2_592_000, '30 days'],
] as const;

export function TokenForm(): JSX.Element {
  const [kind, setKind] = useState<'device' | 'group'>('device');
  const [device, setDevice] = useState('');
  const [group, setGroup] = useState('');
  const [role, setRole] = useState('');
  const [uses, setUses] = useState(10);
  const [ttlSeconds, setTtlSeconds] = useState(86_400);
  const [token, setToken] = useState<ApiToken | ApiGroupToken>();
  const [problem, setProblem] = useState<ApiProblem>();
  const create = (event: Event): void => {
    event.preventDefault();
    setProblem(undefined);
    const common = { ttlSeconds, ...(role === '' ? {} : { role }) };
    const creating =
      kind === 'device'
        ? api.createToken({
            body: { device, ...common, ...(group === '' ? {} : { group }) },
          })
        : api.createGroupToken({ body: { group, uses, ...common } });
    creating.then(setToken, (error: unknown) => setProblem(problemFrom(error)));
  };
  return (
    <Panel title="New token">
      <form class="publish" onSubmit={create} aria-label="New token">
        <label class="field">
          <span>For</span>
          <select
            value={kind}
            onChange={({ currentTarget }) =>
              setKind(currentTarget.value === 'group' ? 'group' : 'device')
            }
          >
            <option value="device">one device</option>
            <option value="group">many devices of a group</option>
          </select>
        </label>
        {kind === 'device' ? (
          <label class="field grow">
            <span>Device id</span>
            <input
              value={device}
              required
              maxLength={128}
              spellcheck={false}
              onInput={({ currentTarget }) => setDevice(currentTarget.value)}
            />
          </label>
        ) : (
          <label class="field">
            <span>Devices</span>
            <input
              type="number"
              min={1}
              max={1_000_000}
              value={uses}
              required
              onInput={({ currentTarget }) => setUses(Number(currentTarget.value))}
            />
          </label>
        )}
        <label class="field grow">
          <span>{kind === 'group' ? 'Group' : 'Group (empty: none)'}</span>
          <input
            value={group}
            maxLength={128}
            required={kind === 'group'}
            onInput={({ currentTarget }) => setGroup(currentTarget.value)}
          />
        </label>
        <RoleField value={role} change={setRole} unset="device, or of the profile" />
        <label class="field">
          <span>Valid for</span>
          <select
            value={ttlSeconds}
            onChange={({ currentTarget }) => setTtlSeconds(Number(currentTarget.value))}
          >
            {lifetimes.map(([seconds, text]) => (
              <option key={seconds} value={seconds}>
                {text}
              </option>
            ))}
          </select>
        </label>
        <button type="submit" class="primary">
          Create token
        </button>
        <ProblemText problem={problem} />
      </form>
      {token === undefined ? null : <TokenDialog token={token} close={() => setToken(undefined)} />}
    </Panel>
  );
}
