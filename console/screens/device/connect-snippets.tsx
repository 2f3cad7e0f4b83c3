import type { JSX } from 'preact';
import { CopyText, Panel } from '../../parts/small-parts.tsx';

/** Commands and code that connect as this device. They need the files of its identity folder. */
export function ConnectSnippets({ id }: { readonly id: string }): JSX.Element {
  const host = location.hostname;
  const node = [
    "import { readFileSync } from 'node:fs';",
    "import { connect } from 'mqtt';",
    '',
    `const client = connect('mqtts://${host}:8883', {`,
    `  clientId: '${id}',`,
    '  protocolVersion: 5,',
    `  cert: readFileSync('${id}/chain.pem'),`,
    `  key: readFileSync('${id}/key.pem'),`,
    `  ca: readFileSync('${id}/ca.pem'),`,
    '});',
    `client.publish('devices/${id}/hello', 'hello', { qos: 1 });`,
  ].join('\n');
  return (
    <Panel title="Connect as this device">
      <p>
        The key never leaves the device: these need the identity folder <code>{id}</code> that the
        enrollment wrote. The port is 8883 unless your configuration says otherwise.
      </p>
      <h3>Flotilla</h3>
      <CopyText text={`flotilla pub --dir ${id} devices/${id}/hello hello`} />
      <h3>Mosquitto</h3>
      <CopyText
        text={`mosquitto_pub -h ${host} -p 8883 -V 5 -i ${id} --cafile ${id}/ca.pem --cert ${id}/chain.pem --key ${id}/key.pem -q 1 -t devices/${id}/hello -m hello`}
      />
      <h3>Node.js</h3>
      <CopyText text={node} />
      <h3>Check the TLS connection</h3>
      <CopyText
        text={`openssl s_client -connect ${host}:8883 -CAfile ${id}/ca.pem -cert ${id}/chain.pem -key ${id}/key.pem -brief </dev/null`}
      />
    </Panel>
  );
}
