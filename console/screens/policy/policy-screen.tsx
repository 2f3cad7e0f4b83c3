/** The fleet's policy: edit, check, test, look at the effect, save. @module */
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { problemFrom } from '../../api/call-api.ts';
import { api } from '../../api/page-api.ts';
import type { ApiPolicy, ApiPolicyChecked, ApiPolicyDiff } from '../../api/api-types.ts';
import { hasRole } from '../../api/session-state.ts';
import { useResource } from '../../api/use-resource.ts';
import { CodeField, lineFaultOf } from '../../editor/code-field.tsx';
import { ActionDialog } from '../../parts/action-dialog.tsx';
import { changeQuery, pageLocation } from '../../parts/browser-location.ts';
import { notify, notifyFailure, ProblemText } from '../../parts/notices.tsx';
import { Badge, Empty, Panel, shortFingerprint } from '../../parts/small-parts.tsx';
import { TimeText } from '../../parts/time-text.tsx';
import { ExplainForm } from './explain-form.tsx';
import { PolicyChanges } from './policy-changes.tsx';
import { PolicyConflict } from './policy-conflict.tsx';
import { PolicyTests } from './policy-tests.tsx';
import { withRule } from './rule-insertion.ts';

const checkPauseMs = 500;

export function PolicyScreen(): JSX.Element {
  const policy = useResource((client) => client.getPolicy());
  const [diff, setDiff] = useState<ApiPolicyDiff>();
  const { data } = policy;
  const { draft, text, isChanged, edit, keep } = usePolicyDraft(data);
  const isConflict = isChanged && data !== undefined && draft?.base !== data.sha256;
  const checked = useCheck(text);
  useLinkedRule(data, edit);
  const review = (): void => {
    api.diffPolicy({ body: { text } }).then(setDiff, notifyFailure);
  };
  return (
    <>
      <div class="title-row">
        <h1>Policy</h1>
        {data === undefined ? null : <LastChange policy={data} />}
      </div>
      <ProblemText problem={policy.problem} />
      {isConflict ? (
        <PolicyConflict saved={data} mine={text} discard={() => edit(undefined)} keep={keep} />
      ) : null}
      <Panel
        title="policy.yaml of the fleet"
        aside={
          <>
            <CheckVerdict checked={checked} />
            <EditorActions
              isChanged={isChanged}
              isValid={checked?.ok === true && !isConflict}
              discard={() => edit(undefined)}
              review={review}
            />
          </>
        }
      >
        <CodeField
          label="Policy (YAML)"
          text={text}
          change={edit}
          fault={lineFaultOf(checked?.error)}
          isReadOnly={!hasRole('admin')}
          schemaPath="/v1/policy/schema"
        />
      </Panel>
      <PolicyTests text={isChanged ? text : undefined} />
      <div class="columns">
        <ExplainForm text={isChanged ? text : undefined} />
        <BrokerPolicies brokers={data?.brokers ?? []} />
      </div>
      {diff === undefined || draft === undefined ? null : (
        <SaveDialog
          diff={diff}
          before={data?.text ?? ''}
          after={text}
          close={() => setDiff(undefined)}
          save={async () => {
            if (await putPolicy(draft)) edit(undefined);
            policy.reload();
          }}
        />
      )}
    </>
  );
}

/** A text that is edited, and the hash of the policy that it is a change of. */
interface PolicyDraft {
  readonly text: string;
  readonly base: string;
}

interface PolicyEdit {
  /** Undefined: nothing was edited. */
  readonly draft: PolicyDraft | undefined;
  /** What the editor shows. */
  readonly text: string;
  readonly isChanged: boolean;
  /** @param text undefined: discards the draft */
  readonly edit: (text: string | undefined) => void;
  /** Makes the draft a change of the policy that is saved now. */
  readonly keep: () => void;
}

function usePolicyDraft(policy: ApiPolicy | undefined): PolicyEdit {
  const [draft, setDraft] = useState<PolicyDraft>();
  const saved = policy?.text ?? '';
  const text = draft?.text ?? saved;
  const start = (base: string | undefined, changed: string | undefined): void => {
    setDraft(changed === undefined || base === undefined ? undefined : { text: changed, base });
  };
  return {
    draft,
    text,
    isChanged: draft !== undefined && draft.text !== saved,
    edit: (changed) => start(draft?.base ?? policy?.sha256, changed),
    keep: () => start(policy?.sha256, text),
  };
}

/**
 * Saves, and says what happened.
 *
 * @returns whether it is saved; false: another person saved meanwhile
 * @throws ApiProblem
 */
async function putPolicy({ text, base }: PolicyDraft): Promise<boolean> {
  try {
    await api.putPolicy({ body: { text }, headers: { 'if-match': `"${base}"` } });
    notify('The policy is saved. Brokers apply it to live sessions.');
    return true;
  } catch (error) {
    if (problemFrom(error).code !== 'version-conflict') throw error;
    notify('Not saved: the policy was changed meanwhile. Both versions are shown.', true);
    return false;
  }
}

/** Adds the rule that the address of the page names, once the policy is known. */
function useLinkedRule(
  policy: ApiPolicy | undefined,
  change: (text: string | undefined) => void,
): void {
  useEffect(() => {
    const { query } = pageLocation.value;
    const [role, rule] = [query.get('role'), query.get('rule')];
    if (policy === undefined || role === null || rule === null) return;
    changeQuery({ role: undefined, rule: undefined });
    const changed = withRule(policy.text, role, rule);
    change(changed);
    notify(
      changed === undefined
        ? `The role ${role} has no list of rules that the rule could be added to.`
        : `The rule is added to the role ${role}, below. Review and save it.`,
      changed === undefined,
    );
  }, [policy]);
}

/** Checks the text after a pause in typing; undefined until the first answer. */
function useCheck(text: string): ApiPolicyChecked | undefined {
  const [checked, setChecked] = useState<ApiPolicyChecked>();
  useEffect(() => {
    if (text === '') return;
    const abort = new AbortController();
    const timer = setTimeout(() => {
      api.checkPolicy({ body: { text }, signal: abort.signal }).then(setChecked, () => undefined);
    }, checkPauseMs);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [text]);
  return checked;
}

function LastChange({ policy }: { readonly policy: ApiPolicy }): JSX.Element {
  return (
    <p class="faint">
      {policy.source === 'default' ? (
        'the policy of a new fleet, never changed'
      ) : (
        <>
          saved <TimeText at={policy.updatedAt} /> by {policy.updatedBy}
        </>
      )}
    </p>
  );
}

function EditorActions({
  isChanged,
  isValid,
  discard,
  review,
}: {
  readonly isChanged: boolean;
  readonly isValid: boolean;
  readonly discard: () => void;
  readonly review: () => void;
}): JSX.Element {
  return (
    <>
      {isChanged ? (
        <button type="button" onClick={discard}>
          Discard changes
        </button>
      ) : null}
      {hasRole('admin') ? (
        <button type="button" class="primary" disabled={!isChanged || !isValid} onClick={review}>
          Review and save
        </button>
      ) : null}
    </>
  );
}

function CheckVerdict({
  checked,
}: {
  readonly checked: ApiPolicyChecked | undefined;
}): JSX.Element | null {
  if (checked === undefined) return null;
  const { error, roles } = checked;
  if (error === null) return <Badge tone="good">valid, {roles.length} roles</Badge>;
  return (
    <span class="bad wrap" role="alert">
      {error.detail}
    </span>
  );
}

function BrokerPolicies({ brokers }: { readonly brokers: ApiPolicy['brokers'] }): JSX.Element {
  return (
    <Panel title="In force at the brokers">
      {brokers.length === 0 ? <Empty title="No broker has reported its policy yet." /> : null}
      <ul class="brokers">
        {brokers.map(({ broker, source, sha256, fault, isCurrent }) => (
          <li key={broker}>
            <strong>{broker}</strong>{' '}
            <Badge tone={isCurrent ? 'good' : 'warn'}>
              {isCurrent ? 'this policy' : 'another policy'}
            </Badge>
            <p class="faint">
              {source === 'file' ? 'its own policy.yaml overrides the policy of the fleet' : source}
              , <code>{shortFingerprint(`sha256:${sha256.replace('sha256:', '')}`)}</code>
            </p>
            {fault === undefined ? null : <p class="bad">{fault}</p>}
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function SaveDialog({
  diff,
  before,
  after,
  close,
  save,
}: {
  readonly diff: ApiPolicyDiff;
  readonly before: string;
  readonly after: string;
  readonly close: () => void;
  readonly save: () => Promise<void>;
}): JSX.Element {
  const lost = diff.brokers.flatMap((broker) => broker.lost);
  const total = diff.brokers.reduce((sum, broker) => sum + broker.total, 0);
  const looked = diff.brokers.reduce((sum, broker) => sum + broker.subscriptions, 0);
  return (
    <ActionDialog
      title="Save the policy"
      action="Save"
      isDangerous={total > 0}
      {...(total > 0 ? { confirmation: `remove ${total}` } : {})}
      run={save}
      close={close}
    >
      <p>
        {total === 0
          ? `No live subscription is removed (${looked} were compared).`
          : `${total} of ${looked} live subscriptions are removed:`}
      </p>
      <ul class="lost">
        {lost.slice(0, 20).map(({ device, clientId, filter, rule }) => (
          <li key={`${clientId} ${filter}`} class="wrap">
            {device}: <code>{filter}</code>{' '}
            <span class="faint">{rule === null ? 'no rule allows it' : `denied by ${rule}`}</span>
          </li>
        ))}
      </ul>
      {total > 20 ? <p class="faint">and {total - 20} more</p> : null}
      <PolicyChanges before={before} after={after} />
    </ActionDialog>
  );
}
