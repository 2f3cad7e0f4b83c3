/** The certificate authorities of the fleet. @module */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { api } from '../../api/page-api.ts';
import type { ApiCaStatus, ApiIssuer } from '../../api/api-types.ts';
import { hasRole } from '../../api/session-state.ts';
import { useResource } from '../../api/use-resource.ts';
import { ActionDialog } from '../../parts/action-dialog.tsx';
import { AdminButton } from '../../parts/admin-button.tsx';
import { notify, ProblemText } from '../../parts/notices.tsx';
import { Badge, CopyText, Facts, Panel } from '../../parts/small-parts.tsx';
import { TimeText } from '../../parts/time-text.tsx';
import { RevocationPanel } from './revocation-panel.tsx';

export function AuthoritiesScreen(): JSX.Element {
  const ca = useResource((client) => client.getCa());
  const issuers = useResource((client) => client.listIssuers());
  const status = useResource((client) => client.getCaStatus());
  const [isAdding, setAdding] = useState(false);
  const [retiring, setRetiring] = useState<string>();
  return (
    <>
      <h1>Authorities</h1>
      <ProblemText problem={ca.problem ?? issuers.problem} />
      <RootPanel ca={ca.data} status={status.data} />
      <Panel
        title="Issuers"
        aside={<AdminButton press={() => setAdding(true)}>Start a rollover</AdminButton>}
      >
        {(issuers.data?.issuers ?? []).map((issuer) => (
          <IssuerEntry key={issuer.fingerprint} issuer={issuer} retire={setRetiring} />
        ))}
      </Panel>
      <RevocationPanel />
      {isAdding ? <RolloverDialog close={() => setAdding(false)} changed={issuers.reload} /> : null}
      {retiring === undefined ? null : (
        <RetireDialog
          fingerprint={retiring}
          close={() => setRetiring(undefined)}
          changed={issuers.reload}
        />
      )}
    </>
  );
}

const purposes = {
  all: 'devices, services and servers',
  devices: 'devices',
  services: 'services and servers',
  'device-servers': 'devices that are servers',
} as const;

const keyPlaces = {
  file: 'in the state folder of the service',
  token: 'on a token',
  elsewhere: 'elsewhere: an issuer or a list is signed where the key is',
} as const;

interface RootPanelProps {
  readonly ca: { readonly fingerprint: string; readonly ca: string } | undefined;
  readonly status: ApiCaStatus | undefined;
}

function RootPanel({ ca, status }: RootPanelProps): JSX.Element {
  return (
    <Panel title="Root">
      <p>Devices pin this fingerprint when they enroll:</p>
      {ca === undefined ? null : <CopyText text={ca.fingerprint} />}
      <RootFacts status={status} />
      {ca === undefined ? null : (
        <details>
          <summary>Certificates of the root and the issuers (PEM)</summary>
          <CopyText text={ca.ca} />
        </details>
      )}
    </Panel>
  );
}

/** The state of the root, and everything about the CA that needs a person. */
function RootFacts({ status }: { readonly status: ApiCaStatus | undefined }): JSX.Element | null {
  if (status === undefined) return null;
  const { root, checks } = status;
  return (
    <>
      <Facts
        rows={[
          ['Name', root.name],
          ['Ends', <TimeText key="ends" at={root.notAfter} />],
          ['Private key', keyPlaces[root.key]],
        ]}
      />
      {checks
        .filter(({ ok }) => !ok)
        .map(({ name, detail }) => (
          <p key={name}>
            <Badge tone="bad">{name}</Badge> {detail}
          </p>
        ))}
    </>
  );
}

interface IssuerEntryProps {
  readonly issuer: ApiIssuer;
  readonly retire: (fingerprint: string) => void;
}

function IssuerEntry({ issuer, retire }: IssuerEntryProps): JSX.Element {
  return (
    <div class="issuer">
      <h3>
        {issuer.name}{' '}
        <Badge tone={issuer.current ? 'good' : 'idle'}>
          {issuer.current ? 'issues certificates' : 'still trusted'}
        </Badge>
        {issuer.purpose === undefined ? null : (
          <span class="faint"> for {purposes[issuer.purpose]}</span>
        )}
      </h3>
      <Facts
        rows={[
          ['Ends', <TimeText key="ends" at={issuer.notAfter} />],
          [
            'Fingerprint',
            <code key="fingerprint" class="wrap">
              {issuer.fingerprint}
            </code>,
          ],
        ]}
      />
      {issuer.current || !hasRole('admin') ? null : (
        <button type="button" class="danger" onClick={() => retire(issuer.fingerprint)}>
          Retire
        </button>
      )}
    </div>
  );
}

interface IssuerDialogProps {
  readonly close: () => void;
  readonly changed: () => void;
}

function RolloverDialog({ close, changed }: IssuerDialogProps): JSX.Element {
  return (
    <ActionDialog
      title="Start a rollover"
      action="Add an issuer"
      close={close}
      run={async () => {
        await api.addIssuer({ body: {} });
        notify('The new issuer is published. It signs when every broker trusts it.');
        changed();
      }}
    >
      <p>
        A new issuer is created and published. When every connected broker trusts it, it signs all
        new certificates. The former issuer stays trusted until you retire it. The key of the root
        must be on this machine.
      </p>
    </ActionDialog>
  );
}

function RetireDialog({
  fingerprint,
  close,
  changed,
}: IssuerDialogProps & { readonly fingerprint: string }): JSX.Element {
  return (
    <ActionDialog
      title="Retire an issuer"
      action="Retire"
      isDangerous
      close={close}
      run={async () => {
        await api.retireIssuer({ fingerprint });
        notify('The issuer is retired.');
        changed();
      }}
    >
      <p>
        Certificates of this issuer are no longer trusted. The service refuses this while an active
        certificate needs it.
      </p>
      <code class="wrap">{fingerprint}</code>
    </ActionDialog>
  );
}
