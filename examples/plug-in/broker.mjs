// A program that runs the broker inside its own process, with hooks and events of Aedes.
//
//   FLOTILLA_STATE=/var/lib/flotilla ENROLL_URL=https://flotilla.example.org:8443 node broker.mjs
//
// The state folder is that of a broker machine: broker/identity (flotilla service create --role broker)
// and policy.yaml. The plug-in
// - accepts telemetry only if it is JSON (a hook can only restrict what the policy allows),
// - removes the field "debug" from messages on their way to backends,
// - counts messages per device and publishes the counts, as the broker, every minute.
import {
  createLog,
  defaultPolicyText,
  loadConfig,
  startBroker,
  stateFolder,
} from 'flotilla/broker';
import { existsSync, writeFileSync } from 'node:fs';

const telemetry = /^devices\/[^/]+\/telemetry$/;
const summaryIntervalMs = 60_000;

const state = stateFolder(process.env.FLOTILLA_STATE ?? '.flotilla');
const config = await loadConfig({ file: state.config, env: process.env });
if (!existsSync(state.policy)) writeFileSync(state.policy, defaultPolicyText);
const log = createLog({ level: config.log.level });
const broker = await startBroker(config, {
  state,
  enrollUrl: process.env.ENROLL_URL ?? 'https://127.0.0.1:8443',
  log,
});
const { aedes } = broker;

aedes.authorizePublish = (client, packet, callback) => {
  if (!telemetry.test(packet.topic) || isJson(packet.payload)) callback(null);
  else callback(new Error('telemetry is not JSON'));
};

aedes.authorizeForward = (client, packet) => {
  if (telemetry.test(packet.topic) && isJson(packet.payload)) {
    const { debug, ...rest } = JSON.parse(packet.payload.toString());
    if (debug !== undefined) packet.payload = Buffer.from(JSON.stringify(rest));
  }
  return packet;
};

const counts = new Map();
aedes.on('publish', (packet, client) => {
  if (client !== null && counts.size < 100_000)
    counts.set(client.id, (counts.get(client.id) ?? 0) + 1);
});
const summaries = setInterval(() => {
  const payload = JSON.stringify(Object.fromEntries(counts));
  counts.clear();
  aedes.publish(
    { cmd: 'publish', topic: 'devices/-/summary', payload, qos: 0, retain: false, dup: false },
    () => undefined,
  );
}, summaryIntervalMs);

aedes.on('clientReady', ({ id }) => log.info({ device: id }, 'client ready'));

const { mqtts } = broker.addresses;
process.stdout.write(
  `${JSON.stringify({ event: 'ready', mqtts: { host: mqtts.host, port: mqtts.port } })}\n`,
);

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void stop(0));
void broker.failed.then((error) => {
  log.error({ err: error, code: error.code }, 'the broker failed');
  return stop(1);
});

async function stop(exitCode) {
  clearInterval(summaries);
  await broker.close();
  process.exitCode = exitCode;
}

function isJson(payload) {
  try {
    const value = JSON.parse(payload.toString());
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}
