/**
 * Only the session layer behind a TLS listener, as a process to measure. Every client with a certificate
 * of the run may do everything. Its arguments are the folder of the run and the port;
 * `FLOTILLA_BENCH_STORE=memory` selects the memory store.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createServer, type TLSSocket } from 'node:tls';
import type { Identity } from '../broker/contracts/identity.ts';
import { StreamWire } from '../broker/listeners/stream-wire.ts';
import { openDurableStore } from '../broker/store/durable-store.ts';
import { openMemoryStore } from '../broker/store/memory-store.ts';
import { commonNameOf } from '../certs/certificate.ts';
import { benchStoreOptions, openBenchLayer } from './bench-session-layer.ts';

const [, , folder = '', port = '0'] = process.argv;
const store =
  process.env['FLOTILLA_BENCH_STORE'] === 'memory'
    ? openMemoryStore(benchStoreOptions)
    : await openDurableStore({ ...benchStoreOptions, path: join(folder, 'session.sqlite') });
const layer = await openBenchLayer(store);
const server = createServer(
  {
    key: readFileSync(join(folder, 'server.key')),
    cert: readFileSync(join(folder, 'server.pem')),
    ca: readFileSync(join(folder, 'ca.pem')),
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    noDelay: true,
  },
  (socket) => layer.accept(new StreamWire(socket), identityOf(socket)),
);
server.on('tlsClientError', () => undefined);
server.listen(Number(port), '127.0.0.1', () => {
  const address = server.address() as AddressInfo;
  process.stdout.write(`${JSON.stringify({ port: address.port, version: 'session layer' })}\n`);
});
const stop = (): void => {
  server.close();
  void layer
    .close()
    .then(() => store.close())
    .then(() => process.exit(0));
};
process.on('SIGTERM', stop);
process.stdin.on('end', stop).resume();

function identityOf(socket: TLSSocket): Identity {
  const certificate = socket.getPeerX509Certificate();
  const name = certificate === undefined ? undefined : commonNameOf(certificate);
  if (name?.ok !== true) throw new Error('a certificate without a name');
  return {
    id: name.id,
    entry: {
      id: name.id,
      role: 'service',
      status: 'active',
      group: null,
      attributes: {},
      certificates: [],
    },
    standing: 'full',
    serial: '00',
    fingerprint: '',
    notAfterMs: Infinity,
    remoteAddress: socket.remoteAddress ?? '',
    tlsVersion: 'TLSv1.3',
    tlsResumed: socket.isSessionReused(),
  };
}
