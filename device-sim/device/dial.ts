/**
 * Opens a TLS connection to the broker with a device's own key and certificate.
 *
 * All connections of a process share one TLS context per protocol version and kind of key: with one
 * context per device, 3,000 MQTT.js devices took 145 KB each; with shared ones 101 KB, and a third less
 * CPU for each handshake (Node 26). Key and leaf are set in the shared context just before the
 * connection copies them, in the same turn of the event loop.
 *
 * @module
 */
import { connect, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import { isIP } from 'node:net';

/** Key and certificate chain of one device, PEM. */
export interface DialIdentity {
  readonly key: string;
  /** Leaf, then issuers. */
  readonly chain: string;
}

export interface DialOptions {
  readonly host: string;
  readonly port: number;
  /** PEM of the trusted certificates. */
  readonly ca: string;
  /** Undefined to present no certificate at all. */
  readonly identity: DialIdentity | undefined;
  readonly version?: '1.2' | '1.3' | 'any';
  readonly localAddress?: string | undefined;
  /** A session to resume. */
  readonly session?: Buffer | undefined;
  /** Called with each session ticket that is received. */
  readonly onSession?: ((session: Buffer) => void) | undefined;
}

/** A connection that is being opened. Times are those of `performance.now()`, set as they occur. */
export interface Dialed {
  readonly socket: TLSSocket;
  readonly timing: DialTiming;
}

export interface DialTiming {
  readonly startMs: number;
  tcpMs: number | undefined;
  secureMs: number | undefined;
  resumed: boolean;
}

/** Starts a connection. The caller handles `secureConnect`, `error` and `close`. */
export function dial(options: DialOptions): Dialed {
  const { host, port, localAddress, session, onSession } = options;
  const timing: DialTiming = {
    startMs: performance.now(),
    tcpMs: undefined,
    secureMs: undefined,
    resumed: false,
  };
  const socket = connect({
    host,
    port,
    secureContext: contextFor(options),
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(localAddress === undefined ? {} : { localAddress }),
    ...(session === undefined ? {} : { session }),
  });
  socket.setNoDelay(true);
  socket.once('connect', () => {
    timing.tcpMs = performance.now();
  });
  socket.once('secureConnect', () => {
    timing.secureMs = performance.now();
    timing.resumed = socket.isSessionReused();
  });
  if (onSession !== undefined) socket.on('session', onSession);
  return { socket, timing };
}

/** A stable code for why a connection failed, and the platform's message. */
export interface Failure {
  readonly reason: string;
  readonly detail: string;
}

/** Maps a socket error to a stable code. */
export function failureOf(error: unknown, handshakeDone: boolean): Failure {
  const detail = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const alert = /alert ([a-z ]+?):/.exec(detail)?.[1];
  if (alert !== undefined) return { reason: `tls-alert-${alert.replaceAll(' ', '-')}`, detail };
  const known = reasons[code];
  if (known !== undefined)
    return { reason: handshakeDone && code === 'ECONNRESET' ? 'closed' : known, detail };
  if (untrusted.test(code)) return { reason: 'tls-untrusted', detail: `${code}: ${detail}` };
  return { reason: code.startsWith('ERR_SSL_') ? 'tls-error' : 'socket-error', detail };
}

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'tcp-refused',
  ECONNRESET: 'tls-closed',
  EPIPE: 'closed',
  ETIMEDOUT: 'tcp-timeout',
  EHOSTUNREACH: 'tcp-unreachable',
  ENETUNREACH: 'tcp-unreachable',
  ENOTFOUND: 'name-unknown',
  EAI_AGAIN: 'name-unknown',
  EADDRNOTAVAIL: 'ports-exhausted',
  EMFILE: 'files-exhausted',
};
const untrusted = /^(?:ERR_TLS_CERT|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_)/;

const versions = {
  '1.2': { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' },
  '1.3': { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' },
  any: { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' },
} as const;

/** Without the default's hybrid post-quantum key share, which costs a client 10 KB per connection. */
const ecdhCurve = 'X25519:P-256:P-384';

const shared = new Map<string, SecureContext>();
const sharedMax = 16;

function contextFor({ ca, version = 'any', identity }: DialOptions): SecureContext {
  const options = { ca, ecdhCurve, ...versions[version] };
  if (identity === undefined) return createSecureContext(options);
  const { key, chain } = identity;
  const leafEnd = chain.indexOf(pemEnd) + pemEnd.length;
  const issuers = chain.slice(leafEnd).trim();
  // A context holds one key per algorithm, which the first characters of a PKCS#8 key identify.
  const name = [version, keyKind(key), issuers, ca].join(' ');
  let context = shared.get(name);
  if (context === undefined) {
    context = createSecureContext({ ...options, key, cert: chain });
    if (!isRekeyable(context.context)) return context;
    if (shared.size >= sharedMax) shared.clear();
    shared.set(name, context);
    return context;
  }
  const native: unknown = context.context;
  if (isRekeyable(native)) {
    // Set the leaf only: issuers would be added to the existing ones each time.
    native.setCert(chain.slice(0, leafEnd));
    native.setKey(key);
  }
  return context;
}

const pemEnd = '-----END CERTIFICATE-----';

function keyKind(key: string): string {
  const begin = key.indexOf('\n') + 1;
  return key.slice(begin, begin + 20);
}

/**
 * Node's native context object allows setting key and certificate again, which its types do not show.
 * Where it does not, each device gets a context of its own.
 */
interface Rekeyable {
  setCert(pem: string): void;
  setKey(pem: string): void;
}

function isRekeyable(native: unknown): native is Rekeyable {
  return (
    typeof native === 'object' &&
    native !== null &&
    'setCert' in native &&
    typeof native.setCert === 'function' &&
    'setKey' in native &&
    typeof native.setKey === 'function'
  );
}
