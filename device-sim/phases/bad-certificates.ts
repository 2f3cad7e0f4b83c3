/**
 * `bad-certificates`: connects with certificates that must be rejected, in the name of a connected
 * device. They are issued here by other CAs; some imitate the name of the real CA.
 *
 * @module
 */
import { X509Certificate } from 'node:crypto';
import { connect } from 'node:net';
import { Authority, createRoot } from '../../certs/authority.ts';
import { splitPem } from '../../certs/pem.ts';
import { generateKeySync, privateKeyPem, spkiOf } from '../../certs/key.ts';
import { subjectNamesOf } from '../../certs/subject-names.ts';
import { systemClock, type Clock } from '../../core/clock.ts';
import { dayMs } from '../../core/config/duration.ts';
import { brokerOf } from '../fleet/broker-choice.ts';
import type { DialIdentity } from '../device/dial.ts';
import { LightLink } from '../device/light-link.ts';
import { LinkError } from '../device/link.ts';
import type { PhaseOf } from '../plan/phase-schema.ts';
import { seeded, shuffled } from '../plan/seed.ts';
import { bystanderEvidence, watchBystanders } from './bystanders.ts';
import { connectedDevices, type PhaseContext, type PhaseOutcome } from './phase-context.ts';

const timeoutMs = 5000;

interface Case {
  readonly name: string;
  /** Undefined: presents no certificate. */
  readonly identity: DialIdentity | undefined;
}

/** Bad certificates in the name of a device. @param ca PEM of the real CAs, to imitate their names */
export function badCertificates(device: string, ca: string, clock: Clock): Case[] {
  const realName =
    /^CN=(.+)$/m.exec(new X509Certificate(splitPem(ca).at(-1) ?? ca).subject)?.[1] ?? 'ca';
  const issueFrom = (
    caName: string,
    profile: 'device' | 'server',
    at: Clock = clock,
  ): DialIdentity => {
    const caKey = generateKeySync('p256');
    const root = createRoot({
      commonName: caName.slice(0, 64),
      validityMs: 30 * dayMs,
      key: caKey,
      clock: at,
    });
    const authority = new Authority({ key: caKey, certificate: root.der, clock: at });
    const key = generateKeySync('p256');
    const issued = authority.issue({
      spki: spkiOf(key),
      profile,
      commonName: device,
      validityMs: dayMs,
      ...(profile === 'server' ? { names: subjectNamesOf(['localhost']) } : {}),
    });
    return { key: privateKeyPem(key), chain: `${issued.pem}${root.pem}` };
  };
  const before: Clock = { ...clock, now: () => clock.now() - 10 * dayMs };
  const after: Clock = { ...clock, now: () => clock.now() + 10 * dayMs };
  const own = generateKeySync('p256');
  const self = createRoot({ commonName: device.slice(0, 64), validityMs: dayMs, key: own, clock });
  return [
    { name: 'no certificate', identity: undefined },
    { name: 'an unknown CA', identity: issueFrom('unknown CA', 'device') },
    {
      name: 'an unknown CA with the name of the real one',
      identity: issueFrom(realName, 'device'),
    },
    { name: 'self-signed', identity: { key: privateKeyPem(own), chain: self.pem } },
    { name: 'expired', identity: issueFrom(realName, 'device', before) },
    { name: 'not yet valid', identity: issueFrom(realName, 'device', after) },
    { name: 'a server certificate', identity: issueFrom(realName, 'server') },
  ];
}

export async function runBadCertificates(
  spec: PhaseOf<'bad-certificates'>,
  context: PhaseContext,
): Promise<PhaseOutcome> {
  const { roster, seed, name, brokers, signal } = context;
  const order = shuffled(
    connectedDevices(context, spec.groups),
    seeded(seed, 'bad-certificates', name),
  );
  const [device] = order;
  if (device === undefined)
    return { passed: false, evidence: ['no device was connected'], figures: {} };
  const id = roster.idOf(device);
  const broker = brokerOf(brokers, device);
  const bystanders = await watchBystanders(context, []);
  const outcomes = new Map<string, Set<string>>();
  const accepted: string[] = [];
  let attempts = 0;
  for (let round = 0; round < spec.rounds && !signal.aborted; round++) {
    for (const { name: what, identity } of badCertificates(id, broker.ca, systemClock)) {
      const reason = await attempt(id, { ...broker, identity });
      attempts++;
      if (reason === undefined) accepted.push(what);
      let reasons = outcomes.get(what);
      if (reasons === undefined) outcomes.set(what, (reasons = new Set()));
      reasons.add(reason ?? 'ACCEPTED');
    }
    const plain = await withoutTls(broker.host, broker.port, id);
    attempts++;
    if (plain === undefined) accepted.push('MQTT without TLS');
    outcomes.set('MQTT without TLS', new Set([plain ?? 'ACCEPTED']));
  }
  const drops = await bystanders.drops();
  return {
    passed: accepted.length === 0 && drops === 0,
    evidence: [
      accepted.length === 0
        ? `all ${attempts} attempts were rejected`
        : `accepted: ${[...new Set(accepted)].join(', ')}`,
      ...[...outcomes].map(([what, reasons]) => `${what}: ${[...reasons].join(', ')}`),
      bystanderEvidence(drops),
    ],
    figures: { attempts, accepted: accepted.length, bystanderDrops: drops },
  };
}

/** Resolves with the reason of the rejection; undefined when the broker accepted the connection. */
async function attempt(
  clientId: string,
  dial: { host: string; port: number; ca: string; identity: DialIdentity | undefined },
): Promise<string | undefined> {
  const link = new LightLink(
    {
      clientId,
      mqtt: '3.1.1',
      kept: false,
      sessionExpirySeconds: 0,
      keepAliveSeconds: 30,
      connectTimeoutMs: timeoutMs,
    },
    { message: () => undefined, closed: () => undefined },
  );
  try {
    await link.connect(dial);
    link.destroy();
    return undefined;
  } catch (error) {
    return error instanceof LinkError ? error.reason : String(error);
  }
}

/** Sends CONNECT without TLS. Resolves with the reaction; undefined when the broker accepted it. */
function withoutTls(host: string, port: number, clientId: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const id = Buffer.from(clientId);
    const body = Buffer.concat([
      Buffer.from([0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 30, 0, id.length]),
      id,
    ]);
    const socket = connect(port, host, () =>
      socket.write(Buffer.concat([Buffer.from([0x10, body.length]), body])),
    );
    const settle = (reason: string | undefined): void => {
      socket.destroy();
      resolve(reason);
    };
    socket.setTimeout(timeoutMs, () => settle('timeout'));
    socket.on('data', (chunk) =>
      settle(chunk[0] === 0x20 && chunk[3] === 0 ? undefined : 'replied with a TLS alert'),
    );
    socket.on('error', () => settle('closed'));
    socket.on('close', () => settle('closed'));
  });
}
