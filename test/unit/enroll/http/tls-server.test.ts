import test from 'ava';
import type { AddressInfo } from 'node:net';
import { systemClock } from '../../../../core/clock.ts';
import { checkConfig } from '../../../../core/config/config.ts';
import { silentLog } from '../../../../core/log.ts';
import { createTlsServer } from '../../../../enroll/http/tls-server.ts';
import { heldHandshake } from '../../../support/held-handshake.ts';
import { testCa } from '../../../support/test-ca.ts';
import { TurnCounts } from '../../../support/turn-counts.ts';
import { until } from '../../../support/until.ts';

/** Handshakes that may be completed in one turn of the event loop: each one costs about 1 ms. */
const perTurnMax = 6;

test('enrollment works on a few handshakes in each turn, also when many addresses finish theirs together', async (t) => {
  const ca = testCa();
  const own = ca.issue({ profile: 'server', commonName: 'enroll', names: ['localhost'] });
  const tls = { pairs: [{ key: own.key, chain: own.cert }], ca: [ca.root] };
  const deps = { config: checkConfig({}), clock: systemClock, log: silentLog, tls };
  const server = createTlsServer(deps, (_request, response) => response.end());
  const secured = new TurnCounts();
  server.on('secureConnection', () => secured.add());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const addresses = Array.from({ length: 100 }, (_, n) => `127.0.1.${n + 1}`);
  const clients = await Promise.all(
    addresses.map((from) => heldHandshake(t, { port, ca: ca.ca, from })),
  );
  for (const { release } of clients.slice(1)) release();
  await until('all are complete, but one', () => secured.total === clients.length - 1);
  t.true(secured.max <= perTurnMax, secured.counts.join(' '));
  clients[0]?.release();
  await until('the last one', () => secured.total === clients.length);
});
