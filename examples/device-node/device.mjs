// A device in Node.js: connects with the certificate of its folder, publishes telemetry, executes
// commands, and renews its certificate before it expires.
//
//   flotilla device enroll --id pump-7 --out pump-7
//   HOST=127.0.0.1 PORT=8883 node device.mjs pump-7
//
// A command is a message on devices/{id}/commands/{name}; the reply goes to its response topic with its correlation
// data, or to devices/{id}/replies/{name}.
// Commands: echo (returns its payload), interval (seconds between two measurements), renew.
import { connect } from 'mqtt';
import { readIdentity, saveIdentity } from './identity-folder.mjs';
import { renew } from './renewal.mjs';

const folder = process.argv[2];
if (folder === undefined) {
  console.error('usage: node device.mjs FOLDER');
  process.exit(2);
}
const host = process.env.HOST ?? '127.0.0.1';
const port = Number(process.env.PORT ?? 8883);
const checkIntervalMs = 3_600_000;
const shutdownTimeoutMs = 5_000;

let intervalMs = 1000 * Number(process.env.INTERVAL_SECONDS ?? 10);
let identity = readIdentity(folder);
let client = open();
let telemetry = setInterval(publishTelemetry, intervalMs);
let renewing = false;
// Not all devices of a fleet at the same time: each one starts its checks at a random moment.
const firstCheck = setTimeout(checkCertificate, Math.random() * 60_000);
const checks = setInterval(checkCertificate, checkIntervalMs);

function open() {
  const opened = connect({
    ...{ protocol: 'mqtts', host, port, protocolVersion: 5 },
    clientId: identity.id,
    ...{ ca: identity.ca, cert: identity.chain, key: identity.key },
    // The broker keeps commands for a day while the device is offline.
    clean: false,
    properties: { sessionExpiryInterval: 86_400 },
    // Reconnect after 1 to 5 seconds, so that a fleet does not return in one moment.
    reconnectPeriod: 1000 + Math.random() * 4000,
  });
  opened.on('connect', () => {
    console.log(`connected as ${identity.id}`);
    opened.subscribe(`devices/${identity.id}/commands/+`, { qos: 1 });
  });
  opened.on('message', (topic, payload, packet) => void onMessage(topic, payload, packet));
  opened.on('error', (error) => console.error(`connection: ${error.message}`));
  return opened;
}

function publishTelemetry() {
  // While the connection is down, a measurement is not worth keeping: the next one is newer.
  if (!client.connected) return;
  const text = JSON.stringify({
    temperature: 20 + Math.random() * 5,
    at: new Date().toISOString(),
  });
  client.publish(`devices/${identity.id}/telemetry`, text, { qos: 1 });
}

async function onMessage(topic, payload, { properties }) {
  const command = /^devices\/[^/]+\/commands\/([^/]+)$/.exec(topic)?.[1];
  if (command === undefined) return;
  const reply = await execute(command, payload.toString()).catch((error) => ({
    error: error.message,
  }));
  console.log(`${command}: ${JSON.stringify(reply)}`);
  const { responseTopic, correlationData } = properties ?? {};
  client.publish(
    responseTopic ?? `devices/${identity.id}/replies/${command}`,
    JSON.stringify(reply),
    { qos: 1, ...(correlationData === undefined ? {} : { properties: { correlationData } }) },
  );
}

async function execute(command, payload) {
  switch (command) {
    case 'echo':
      return { echo: payload };
    case 'interval':
      intervalMs = 1000 * Math.min(Math.max(Number(payload) || 10, 1), 3600);
      clearInterval(telemetry);
      telemetry = setInterval(publishTelemetry, intervalMs);
      return { intervalMs };
    case 'renew':
      return await renewCertificate();
    default:
      throw new Error(`unknown command ${command}`);
  }
}

/** Renews when a third of the validity is left. */
function checkCertificate() {
  const { validFromMs, validToMs } = identity;
  if (validToMs - Date.now() > (validToMs - validFromMs) / 3) return;
  renewCertificate().catch((error) => console.error(`renewal: ${error.message}`));
}

async function renewCertificate() {
  if (renewing) throw new Error('a renewal is already running');
  renewing = true;
  try {
    saveIdentity(folder, await renew(client, identity));
    const before = client;
    identity = readIdentity(folder);
    // The old certificate remains valid until the broker sees the new one connect.
    await before.endAsync();
    client = open();
    return { renewedUntil: new Date(identity.validToMs).toISOString() };
  } finally {
    renewing = false;
  }
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    clearTimeout(firstCheck);
    clearInterval(checks);
    clearInterval(telemetry);
    setTimeout(() => process.exit(1), shutdownTimeoutMs).unref();
    client.end();
  });
}
