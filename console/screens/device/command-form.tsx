/** Sends commands to a device, and shows the reply beside each. @module */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { problemFrom, type ApiProblem } from '../../api/call-api.ts';
import { api } from '../../api/page-api.ts';
import type { ApiCommandResult, ApiDevice } from '../../api/api-types.ts';
import { MessageItem } from '../../parts/message-tail.tsx';
import { ProblemText } from '../../parts/notices.tsx';
import { PayloadField } from '../../parts/payload-field.tsx';
import { RequiredField } from '../../parts/required-field.tsx';
import { Badge, Empty, Panel } from '../../parts/small-parts.tsx';

interface SentCommand {
  readonly key: number;
  readonly name: string;
  readonly payload: string;
  readonly result?: ApiCommandResult;
  readonly problem?: ApiProblem;
}

const shownCommandsMax = 20;
const waits = [5, 10, 30] as const;
let lastKey = 0;

export function CommandPanel({ device }: { readonly device: ApiDevice }): JSX.Element {
  const [sent, setSent] = useState<readonly SentCommand[]>([]);
  const send = (name: string, payload: string, waitSeconds: number): void => {
    const key = ++lastKey;
    const settle = (outcome: Pick<SentCommand, 'problem' | 'result'>): void =>
      setSent((all) => all.map((one) => (one.key === key ? { ...one, ...outcome } : one)));
    setSent((all) => [{ key, name, payload }, ...all].slice(0, shownCommandsMax));
    api.sendCommand({ id: device.id, body: { name, payload, waitSeconds } }).then(
      (result) => settle({ result }),
      (error: unknown) => settle({ problem: problemFrom(error) }),
    );
  };
  return (
    <Panel title="Send a command">
      <CommandForm device={device} send={send} />
      {sent.length === 0 ? (
        <Empty title="The reply appears here.">
          <p class="faint">
            The topic is <code>{`devices/${device.id}/commands/COMMAND`}</code>, and the reply comes
            on <code>{`devices/${device.id}/replies/COMMAND`}</code>: the response topic of MQTT
            5.0, with the correlation data of the command.
          </p>
        </Empty>
      ) : (
        <ol class="commands" aria-live="polite">
          {sent.map((one) => (
            <CommandItem key={one.key} sent={one} />
          ))}
        </ol>
      )}
    </Panel>
  );
}

function CommandForm({
  device,
  send,
}: {
  readonly device: ApiDevice;
  readonly send: (name: string, payload: string, waitSeconds: number) => void;
}): JSX.Element {
  const [name, setName] = useState('');
  const [payload, setPayload] = useState('');
  const [wait, setWait] = useState<number>(waits[1]);
  return (
    <form
      class="publish"
      aria-label="Send a command"
      onSubmit={(event) => {
        event.preventDefault();
        send(name, payload, wait);
      }}
    >
      <RequiredField label="Command" value={name} change={setName} maxLength={256} />
      <PayloadField value={payload} change={setPayload} />
      <label class="field">
        <span>Wait for the reply</span>
        <select value={wait} onChange={({ currentTarget }) => setWait(Number(currentTarget.value))}>
          {waits.map((seconds) => (
            <option key={seconds} value={seconds}>
              {seconds} s
            </option>
          ))}
        </select>
      </label>
      <button type="submit" class="primary">
        Send
      </button>
      {device.connected ? null : (
        <p class="faint">
          The device is not connected. It gets the command later only if its session is kept.
        </p>
      )}
    </form>
  );
}

function CommandItem({ sent }: { readonly sent: SentCommand }): JSX.Element {
  const { name, payload, result, problem } = sent;
  return (
    <li>
      <p class="head">
        <code class="wrap">{name}</code>
        <CommandOutcome sent={sent} />
      </p>
      {payload === '' ? null : (
        <pre class="payload" tabIndex={0}>
          {payload}
        </pre>
      )}
      <ProblemText problem={problem} />
      {result?.reply == null ? null : (
        <ol class="messages reply">
          <MessageItem message={result.reply} />
        </ol>
      )}
    </li>
  );
}

function CommandOutcome({
  sent: { result, problem },
}: {
  readonly sent: SentCommand;
}): JSX.Element {
  if (problem !== undefined) return <Badge tone="bad">not sent</Badge>;
  if (result === undefined) return <Badge tone="idle">waiting for the reply</Badge>;
  const { reply, matchedBy, afterMs, connected } = result;
  if (reply === null) {
    return (
      <>
        <Badge tone="warn">no reply in {Math.round(afterMs / 1000)} s</Badge>{' '}
        {connected ? null : <span class="faint">the device was not connected</span>}
      </>
    );
  }
  return (
    <>
      <Badge tone="good">reply after {afterMs} ms</Badge>{' '}
      <span class="faint">
        {matchedBy === 'correlation'
          ? 'with the correlation data of this command'
          : 'by its topic, without correlation data'}
      </span>
    </>
  );
}
