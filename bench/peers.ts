/**
 * Brokers of other projects, as processes to measure: Mosquitto, FlashMQ, and the MQTT of nats-server. All
 * get the same certificates, no delay (TCP), and the same window of messages in flight.
 *
 * @module
 */
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunCertificates } from './certificates.ts';

/** A program to measure. */
export interface Peer {
  /** The name in the tables. It begins with the kind, such as `mosquitto-2.1`. */
  readonly name: string;
  readonly path: string;
}

interface PeerSetup {
  /** The configuration and its file name in the folder of the run. */
  readonly file: string;
  config(files: RunCertificates['files'], folder: string, port: number): string;
  readonly arguments: (path: string) => readonly string[];
  /** Prints the version, with any exit code. */
  readonly versionArguments: readonly string[];
  /** The first version with QoS 2, if not all have it. */
  readonly qos2Since?: readonly [major: number, minor: number];
  /** Whether it refuses to resume a TLS session with a client certificate. */
  readonly refusesResumption?: boolean;
}

/** Messages in flight to one receiver; the same limit for all brokers. */
export const inflightWindow = 1000;

const setups: Readonly<Record<string, PeerSetup>> = {
  mosquitto: {
    file: 'mosquitto.conf',
    config: ({ ca, cert, key }, _folder, port) => `listener ${port} 127.0.0.1
cafile ${ca}
certfile ${cert}
keyfile ${key}
require_certificate true
use_identity_as_username true
allow_anonymous false
tls_version tlsv1.3
set_tcp_nodelay true
max_inflight_messages ${inflightWindow}
max_queued_messages 100000
persistence false
log_dest none
user root
`,
    arguments: (path) => ['-c', path],
    versionArguments: ['-h'],
  },
  flashmq: {
    file: 'flashmq.conf',
    config: ({ ca, cert, key }, folder, port) => `thread_count 1
allow_unsafe_clientid_chars true
max_qos_msg_pending_per_client ${inflightWindow}
client_max_write_buffer_size 16777216
log_file ${join(folder, 'flashmq.log')}
quiet true
listen {
  protocol mqtt
  port ${port}
  inet_protocol ip4
  inet4_bind_address 127.0.0.1
  fullchain ${cert}
  privkey ${key}
  client_verification_ca_file ${ca}
  minimum_tls_version tlsv1.3
  tcp_nodelay true
}
`,
    arguments: (path) => ['--config-file', path],
    versionArguments: ['--version'],
    // OpenSSL's "session id context uninitialized", with version 1.26.
    refusesResumption: true,
  },
  nats: {
    file: 'nats.conf',
    config: ({ ca, cert, key }, folder, port) => `server_name: bench
host: 127.0.0.1
port: -1
jetstream { store_dir: "${join(folder, 'nats')}" }
mqtt {
  host: 127.0.0.1
  port: ${port}
  max_ack_pending: ${inflightWindow}
  tls { cert_file: "${cert}", key_file: "${key}", ca_file: "${ca}", verify: true }
}
`,
    arguments: (path) => ['-c', path],
    versionArguments: ['--version'],
    qos2Since: [2, 10],
  },
};

/** Where Debian installs the peers that are measured without `--peer`. */
const installed: readonly Peer[] = [
  { name: 'mosquitto', path: '/usr/sbin/mosquitto' },
  { name: 'nats', path: '/usr/sbin/nats-server' },
];

/** The kind of a peer: the first part of its name. */
function setupOf(name: string): PeerSetup {
  const setup = setups[name.split('-')[0] ?? ''];
  if (setup === undefined) throw new Error(`a peer is one of ${Object.keys(setups).join(', ')}`);
  return setup;
}

/**
 * The peers of a run: those of `--peer name=path`, and those that are installed.
 *
 * @throws when an option is malformed or a program does not run
 */
export function peersOf(options: readonly string[]): readonly Peer[] {
  const given = options.map((option) => {
    const [name = '', path = ''] = option.split('=');
    const peer = { name, path };
    setupOf(name);
    if (peerVersion(peer) === undefined) throw new Error(`${path} does not run`);
    return peer;
  });
  const others = installed.filter(
    (peer) => !given.some(({ name }) => name === peer.name) && peerVersion(peer) !== undefined,
  );
  return [...given, ...others];
}

/** The version that a program prints; undefined when it does not run. */
export function peerVersion({ name, path }: Peer): string | undefined {
  const found = (text: string): string | undefined => /[vV]?(\d+\.\d+[\w.]*)/.exec(text)?.[1];
  try {
    return found(
      execFileSync(path, [...setupOf(name).versionArguments], { encoding: 'utf8', stdio: 'pipe' }),
    );
  } catch (error) {
    // Mosquitto prints its help and exits with code 3.
    return found(error instanceof Error && 'stdout' in error ? String(error.stdout) : '');
  }
}

/** The highest QoS that a version of a peer has. */
export function qosMaxOf(name: string, version: string): 1 | 2 {
  const { qos2Since } = setupOf(name);
  if (qos2Since === undefined) return 2;
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > qos2Since[0] || (major === qos2Since[0] && minor >= qos2Since[1]) ? 2 : 1;
}

/** Whether a peer resumes TLS sessions with client certificates. */
export function resumesSessions(name: string): boolean {
  return setupOf(name).refusesResumption !== true;
}

/** Writes the configuration of a peer. @returns the arguments of its program */
export async function configurePeer(
  { name }: Peer,
  { files, folder }: RunCertificates,
  port: number,
): Promise<readonly string[]> {
  const setup = setupOf(name);
  const path = join(folder, `${name}-${port}-${setup.file}`);
  await writeFile(path, setup.config(files, folder, port));
  return setup.arguments(path);
}
