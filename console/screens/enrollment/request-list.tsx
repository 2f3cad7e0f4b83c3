/** Enrollments that wait for a person. @module */
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { api } from '../../api/page-api.ts';
import type { ApiRequest } from '../../api/api-types.ts';
import { listenLive } from '../../api/live-feed.ts';
import { hasRole } from '../../api/session-state.ts';
import { useResource } from '../../api/use-resource.ts';
import { ActionDialog } from '../../parts/action-dialog.tsx';
import { notify, ProblemText } from '../../parts/notices.tsx';
import { RoleField } from '../../parts/role-field.tsx';
import { Empty, Facts, Panel } from '../../parts/small-parts.tsx';
import { TimeText } from '../../parts/time-text.tsx';

export function RequestList(): JSX.Element {
  const { data, problem, reload } = useResource((client) => client.listRequests());
  const again = useRef(reload);
  again.current = reload;
  useEffect(
    () =>
      listenLive('audit', ({ action }) => {
        if (action.startsWith('enrollment-')) again.current();
      }),
    [],
  );
  const waiting = (data?.requests ?? []).filter(({ status }) => status === 'pending');
  return (
    <Panel title="Waiting for approval" aside={<span class="faint">{waiting.length}</span>}>
      <ProblemText problem={problem} />
      {waiting.length === 0 ? (
        <Empty title="No device waits.">
          <p class="faint">
            A device that enrolls without a token appears here, if the service allows it
            (enroll.approval in flotilla.yaml).
          </p>
        </Empty>
      ) : (
        <ul class="requests">
          {waiting.map((request) => (
            <RequestItem key={request.id} request={request} changed={reload} />
          ))}
        </ul>
      )}
    </Panel>
  );
}

function RequestItem({
  request,
  changed,
}: {
  readonly request: ApiRequest;
  readonly changed: () => void;
}): JSX.Element {
  const [decision, setDecision] = useState<'approve' | 'deny'>();
  const { device, fingerprint, remoteAddress, receivedAt, expiresAt, factory, profile } = request;
  return (
    <li>
      <h3>{device}</h3>
      <code class="wrap fingerprint">{grouped(fingerprint)}</code>
      <Facts
        rows={[
          ['Address', remoteAddress],
          ['Received', <TimeText key="received" at={receivedAt} />],
          ['Ends', <TimeText key="ends" at={expiresAt} />],
          ['Factory', factory ?? 'none: nothing but the fingerprint identifies this device'],
          ['Profile', profile ?? 'default'],
        ]}
      />
      {hasRole('operator') ? (
        <div class="actions">
          <button type="button" class="primary" onClick={() => setDecision('approve')}>
            Approve
          </button>
          <button type="button" class="danger" onClick={() => setDecision('deny')}>
            Deny
          </button>
        </div>
      ) : null}
      {decision === undefined ? null : (
        <DecisionDialog
          request={request}
          decision={decision}
          close={() => setDecision(undefined)}
          changed={changed}
        />
      )}
    </li>
  );
}

function DecisionDialog({
  request,
  decision,
  close,
  changed,
}: {
  readonly request: ApiRequest;
  readonly decision: 'approve' | 'deny';
  readonly close: () => void;
  readonly changed: () => void;
}): JSX.Element {
  const { id, device, fingerprint } = request;
  const [group, setGroup] = useState('');
  const [role, setRole] = useState('');
  const isApproval = decision === 'approve';
  const run = async (): Promise<void> => {
    const body = {
      ...(group === '' ? {} : { group }),
      ...(role === '' ? {} : { role }),
    };
    await (isApproval ? api.approveRequest({ id, body }) : api.denyRequest({ id, body: {} }));
    notify(`${device} is ${isApproval ? 'approved' : 'denied'}.`);
    changed();
  };
  return (
    <ActionDialog
      title={`${isApproval ? 'Approve' : 'Deny'} ${device}`}
      action={isApproval ? 'Approve' : 'Deny'}
      isDangerous={!isApproval}
      run={run}
      close={close}
    >
      {isApproval ? (
        <>
          <FingerprintComparison fingerprint={fingerprint} />
          <label class="field">
            <span>Group (empty: none)</span>
            <input
              value={group}
              maxLength={128}
              onInput={({ currentTarget }) => setGroup(currentTarget.value)}
            />
          </label>
          <RoleField value={role} change={setRole} unset="device, or of the profile" />
        </>
      ) : (
        <p>The device gets no certificate. It is refused when it asks again with this key.</p>
      )}
    </ActionDialog>
  );
}

function FingerprintComparison({ fingerprint }: { readonly fingerprint: string }): JSX.Element {
  const [seen, setSeen] = useState('');
  const verdict = comparedFingerprints(fingerprint, seen);
  return (
    <>
      <p>Compare the fingerprint of the key with the one that the device shows.</p>
      <div class="side-by-side">
        <div>
          <span class="faint">Received</span>
          <code class="wrap fingerprint">{grouped(fingerprint)}</code>
        </div>
        <label class="field">
          <span>Shown by the device (paste it here to compare)</span>
          <textarea
            rows={3}
            value={seen}
            onInput={({ currentTarget }) => setSeen(currentTarget.value)}
          />
        </label>
      </div>
      {verdict === undefined ? null : (
        <p role="status" class={verdict === 'different' ? 'bad' : 'good-text'}>
          The fingerprints are {verdict}.
        </p>
      )}
    </>
  );
}

/** @param seen as a person typed it: with or without separators and `sha256:`. Undefined: nothing is typed */
function comparedFingerprints(
  fingerprint: string,
  seen: string,
): 'equal' | 'equal so far' | 'different' | undefined {
  const typed = seen
    .toLowerCase()
    .replaceAll(/[^0-9a-f]/g, '')
    .replace(/^a256/, '');
  if (typed === '') return undefined;
  const own = fingerprint.slice('sha256:'.length);
  if (own === typed) return 'equal';
  return own.startsWith(typed) ? 'equal so far' : 'different';
}

/** In groups of four digits, which are easier to compare. */
function grouped(fingerprint: string): string {
  return fingerprint.slice('sha256:'.length).replaceAll(/(.{4})(?=.)/g, '$1 ');
}
