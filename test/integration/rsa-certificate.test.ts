/** The RSA server certificate beside the P-256 one, as the real openssl sees it. */
import test from 'ava';
import { X509Certificate } from 'node:crypto';
import { opensslFor, type Openssl } from '../support/certs-openssl.ts';
import { fleetWorld } from '../support/fleet-world.ts';
import { enrollService } from '../support/enroll-service.ts';
import { until } from '../support/until.ts';

interface Shown {
  readonly text: string;
  readonly leaf: X509Certificate | undefined;
  readonly chainLength: number;
}

/** Handshakes of `openssl s_client` with one port; the whole chain must lead to the root. */
function clientOf(openssl: Openssl, ca: string, port: number) {
  const trusted = openssl.file('root.pem', ca);
  return async (...options: readonly string[]): Promise<Shown> => {
    const { stdout, stderr } = await openssl.run(
      ...['s_client', '-connect', `127.0.0.1:${port}`, '-servername', 'localhost', '-showcerts'],
      ...['-CAfile', trusted, '-verify_return_error', '-verify_hostname', 'localhost', ...options],
    );
    const certificates = stdout.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g) ?? [];
    const [first] = certificates;
    return {
      text: stdout + stderr,
      leaf: first === undefined ? undefined : new X509Certificate(first),
      chainLength: certificates.length,
    };
  };
}

const oldClient = ['-tls1_2', '-cipher', 'aRSA'];
const verified = /Verify return code: 0 \(ok\)/;
const refused = /Cipher is \(NONE\)/;
const typeOf = ({ leaf }: Shown): string | undefined => leaf?.publicKey.asymmetricKeyType;

test('a client with TLS 1.2 and without ECDSA connects when the RSA certificate is enabled; others get P-256', async (t) => {
  const openssl = opensslFor(t);
  if (openssl === undefined) return;
  const world = await fleetWorld(t, {
    config: { tls: { rsaServerCertificate: true }, broker: { fronts: 1 } },
  });
  const { enroll, broker, capture } = world;
  const toEnroll = clientOf(openssl, enroll.ca, Number(new URL(enroll.url).port));
  const toBroker = clientOf(openssl, enroll.ca, broker.addresses.mqtts.port);
  await until(
    'the broker has its RSA certificate',
    async () => (await toBroker(...oldClient)).leaf,
  );
  for (const connect of [toEnroll, toBroker]) {
    const old = await connect(...oldClient);
    // The exit code says nothing: the broker may end the connection, which has no client certificate, before openssl does.
    t.regex(old.text, verified);
    t.is(typeOf(old), 'rsa');
    t.is(old.chainLength, 2, 'leaf and issuer');
    t.regex(old.text, /Cipher is ECDHE-RSA-AES\d+-GCM/);
    for (const version of ['-tls1_2', '-tls1_3']) {
      t.is(typeOf(await connect(version)), 'ec', `${version} prefers P-256`);
    }
    // Without forward secrecy, and without authenticated encryption.
    const weak = 'AES128-GCM-SHA256:ECDHE-RSA-AES128-SHA:@SECLEVEL=0';
    t.regex((await connect('-tls1_2', '-cipher', weak)).text, refused);
  }
  const before = await toBroker(...oldClient);
  const added = await enroll.asAdmin('POST', '/v1/issuers', { purpose: 'services' });
  t.is(added.status, 201);
  await until('both certificates of both services have the new issuer', async () => {
    const all = [await toEnroll(...oldClient), await toBroker(...oldClient)];
    const others = [await toEnroll('-tls1_3'), await toBroker('-tls1_3')];
    const issuers = new Set([...all, ...others].map(({ leaf }) => leaf?.issuer));
    return issuers.size === 1 && !issuers.has(before.leaf?.issuer) && typeOf(all[1]!) === 'rsa';
  });
  t.true(
    capture.lines.filter(({ msg }) => msg === 'certificate of the broker renewed').length >= 2,
  );
  const { body } = await enroll.asAdmin('GET', '/v1/devices/broker');
  t.true((body['certificates'] as object[]).length >= 3, 'they can be revoked like the others');
});

test('without the setting, RSA is refused', async (t) => {
  const openssl = opensslFor(t);
  if (openssl === undefined) return;
  const { ca, url } = await enrollService(t);
  const connect = clientOf(openssl, ca, Number(new URL(url).port));
  t.regex((await connect(...oldClient)).text, refused);
  t.regex((await connect('-tls1_2')).text, verified);
});
