// Renewal over MQTT, with a new key. The device proves that the request is its own: it signs the new
// request with its current key. The request itself is made by openssl.
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const answerTimeoutMs = 60_000;

/** Asks for a certificate for a new key. Resolves with { key, certificate, chain, ca }, all PEM. */
export async function renew(client, identity) {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' });
  const request = createRequest(key, identity.id);
  const proof = sign('sha256', request, identity.key).toString('base64');
  const topic = `$fleet/certs/${identity.id}`;
  const answer = nextMessage(client, [`${topic}/accepted`, `${topic}/rejected`]);
  await client.subscribeAsync(`${topic}/+`, { qos: 1 });
  await client.publishAsync(`${topic}/renew`, JSON.stringify({ csr: pem(request), proof }), {
    qos: 1,
  });
  const message = await answer;
  const body = JSON.parse(message.payload.toString());
  if (message.topic.endsWith('/rejected'))
    throw new Error(`${body.title} [${body.code}] ${body.advice}`);
  return { key, certificate: body.certificate, chain: body.chain, ca: body.ca };
}

/** A certificate signing request in DER. */
function createRequest(key, id) {
  const folder = mkdtempSync(join(tmpdir(), 'renewal-'));
  try {
    writeFileSync(join(folder, 'key.pem'), key, { mode: 0o600 });
    const args = ['req', '-new', '-key', join(folder, 'key.pem'), '-subj', `/CN=${id}`];
    return execFileSync('openssl', [...args, '-outform', 'DER']);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function pem(der) {
  const lines = der
    .toString('base64')
    .match(/.{1,64}/g)
    .join('\n');
  return `-----BEGIN CERTIFICATE REQUEST-----\n${lines}\n-----END CERTIFICATE REQUEST-----\n`;
}

function nextMessage(client, topics) {
  return new Promise((resolve, reject) => {
    const finish = (call, value) => {
      clearTimeout(timer);
      client.off('message', onMessage);
      call(value);
    };
    const onMessage = (topic, payload) => {
      if (topics.includes(topic)) finish(resolve, { topic, payload });
    };
    const timer = setTimeout(
      () => finish(reject, new Error('no answer to the renewal')),
      answerTimeoutMs,
    );
    client.on('message', onMessage);
  });
}
