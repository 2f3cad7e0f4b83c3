import test from 'ava';
import { systemClock } from '../../core/clock.ts';
import { isFlotillaError } from '../../core/errors/flotilla-error.ts';
import { silentLog } from '../../core/log.ts';
import { runAgent } from '../../device-sim/agent/run-agent.ts';
import {
  replyTopic,
  callTopic,
  splitMessage,
  MessageAssembler,
} from '../../device-sim/agent/wire.ts';
import { EnrollmentClient } from '../../device-sim/credentials/enrollment-client.ts';
import { ServiceApi } from '../../device-sim/credentials/service-api.ts';
import { LightLink } from '../../device-sim/device/light-link.ts';
import { parsePlan } from '../../device-sim/plan/read-plan.ts';
import { runSimulation } from '../../device-sim/run.ts';
import type { FlotillaTarget } from '../../device-sim/fleet/target.ts';
import { simFlotilla } from '../support/sim-flotilla.ts';
import { until } from '../support/until.ts';

const plan = parsePlan(`
name: far
fleet: [{ group: far, count: 6, client: light, publish: [{ rate: 10 }] }]
run: { agents: [agent-1, agent-2] }
phases:
  - phase: enroll
  - { phase: ramp, rate: 100 }
  - parallel:
      - { phase: steady, duration: 1s }
      - { phase: command-roundtrip, duration: 1s, rate: 10 }
  - { phase: revocation-drill, devices: 1 }
`);

function deps(target: FlotillaTarget): Parameters<typeof runSimulation>[1] {
  return {
    target,
    log: silentLog,
    clock: systemClock,
    progress: () => undefined,
    signal: new AbortController().signal,
    inProcess: true,
  };
}

test('agents are devices of the fleet that carry its load and are controlled over its own MQTT', async (t) => {
  const target = await simFlotilla(t);
  const api = new ServiceApi(target.enrollUrl, target.ca, target.admin);
  const enroller = new EnrollmentClient(target.enrollUrl, target.ca, 2);
  t.teardown(() => {
    api.close();
    enroller.close();
  });
  const names = ['agent-1', 'agent-2'];
  const tokens = await api.createTokens(names, 'agents', 60);
  const stop = new AbortController();
  t.teardown(() => stop.abort());
  const agents = await Promise.all(
    names.map(async (name, index) => {
      const identity = await enroller.enroll(name, 'p256', tokens[index] ?? '', () => undefined);
      return { name, identity, ...target, log: silentLog, signal: stop.signal };
    }),
  );
  const missing = await t.throwsAsync(runSimulation(plan, deps(target)));
  t.true(isFlotillaError(missing, 'sim-agent-missing'), String(missing));

  const running = agents.map((agent) => runAgent(agent));
  const report = await runSimulation(plan, deps(target));
  t.true(report.ok, JSON.stringify([report.thresholds, report.phases, report.notes], null, 1));
  t.like(report.devices, { planned: 6, enrolled: 6, connected: 6, retired: 1 });
  t.like(report.telemetry, { published: 60, delivered: 60, lost: 0 });
  t.like(report.commands, { published: 10, delivered: 10, lost: 0 });
  t.true(report.notes.some((note) => /agent agent-2: its clock is \d+ ms/.test(note)));
  // A second run by the same agents.
  const again = await runSimulation({ ...plan, seed: 'again' }, deps(target));
  t.true(again.ok, JSON.stringify(again.thresholds));

  // A client that may send commands to an agent cannot read files or keys of its host.
  const spy = new LightLink(
    {
      clientId: 'spy',
      mqtt: '5.0',
      kept: false,
      sessionExpirySeconds: 0,
      keepAliveSeconds: 30,
      connectTimeoutMs: 5000,
    },
    {
      message: (_topic, payload) => void received.push(assembler.add(payload)),
      closed: () => undefined,
    },
  );
  const received: unknown[] = [];
  const assembler = new MessageAssembler();
  await spy.connect({ ...target.mqtts, ca: target.ca, identity: await api.createService('spy') });
  await spy.subscribe(replyTopic('agent-1'), 1);
  const send = (message: object): void => {
    for (const payload of splitMessage(message, 'spy'))
      spy.publish(callTopic('agent-1'), payload, 1, false, () => undefined);
  };
  send({ call: 1, name: 'load', params: { path: '/etc/passwd' } });
  send({ call: 2, name: 'credentials', params: { devices: [0] } });
  const replay = { fleet: [{ publish: [{ payload: { kind: 'replay', file: '/etc/passwd' } }] }] };
  send({ call: 3, name: 'setup', params: { plan: replay } });
  await until('a reply', () => received.length > 0);
  t.deepEqual(received, [
    {
      kind: 'error',
      call: 3,
      code: 'sim-phase-unsupported',
      message: 'an agent reads no files: payloads of kind replay are not supported',
    },
  ]);
  await spy.end();
  stop.abort();
  await Promise.all(running);
});

test('messages between controller and agent are split and assembled, and malformed ones are dropped', (t) => {
  const message = { text: 'ä"\\'.repeat(100_000), list: [1, 2, 3] };
  const chunks = splitMessage(message, 'w');
  t.true(chunks.length > 3);
  const assembler = new MessageAssembler();
  for (const junk of [
    '',
    '{',
    '[]',
    '{"m":"x","i":0,"n":9999,"d":""}',
    '{"m":"x","i":5,"n":2,"d":""}',
  ]) {
    t.is(assembler.add(Buffer.from(junk)), undefined);
  }
  const results = chunks.toReversed().map((chunk) => assembler.add(Buffer.from(chunk)));
  t.deepEqual(results.at(-1), message);
  t.true(results.slice(0, -1).every((result) => result === undefined));
});
