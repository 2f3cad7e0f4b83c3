import test from 'ava';
import {
  claimsWaitingMax,
  ConnectionClaims,
} from '../../../../../broker/session/connection/connection-claims.ts';
import type { ClaimAnswer } from '../../../../../broker/contracts/session-claims.ts';
import { fakeClock } from '../../../../support/fake-clock.ts';
import { startWorld, TestAuthorizer } from '../../../../support/session-world.ts';
import { until } from '../../../../support/until.ts';

test('claims without an answer are limited, and CONNECT is refused while the limit is reached', async (t) => {
  const answers = Array.from({ length: claimsWaitingMax }, () =>
    Promise.withResolvers<ClaimAnswer>(),
  );
  let asked = 0;
  const world = await startWorld(t, {
    authorizer: new TestAuthorizer(),
    claims: (local) => ({
      isShared: false,
      refusalOf: () => undefined,
      claim: (request) => answers[asked++]?.promise ?? local.claim(request),
      release: (released) => local.release(released),
    }),
  });
  const { connectionClaims } = world.layer;
  const reader = { pause: () => undefined, resumeWith: () => undefined };
  const connection = world.accept((await world.raw()).socket, 'd');
  for (let n = 0; n < claimsWaitingMax - 1; n++) {
    const request = {
      ...{ connection, clientId: `d/${n}`, clean: true, isAssigned: false, connectionsMax: 1 },
    };
    const answer = world.layer.claims.claim(request);
    if (!(answer instanceof Promise)) return t.fail();
    connectionClaims.wait(request, { closed: false, reader }, answer, () => undefined);
  }
  const last = await world.raw('c');
  last.connect({ version: 5, clientId: 'c' });
  await until('it waits', () => asked === claimsWaitingMax);
  const refused = await world.connect({ version: 5, clientId: 'refused' });
  t.is(refused.connack?.reasonCode, 0x89);
  t.is((await world.connect({ clientId: 'older' })).connack?.returnCode, 3);
  t.is(asked, claimsWaitingMax);
  for (const { resolve } of answers) resolve({ refused: 'session-unavailable' });
  t.is((await last.next('connack')).reasonCode, 0x88);
  t.is((await world.connect({ version: 5, clientId: 'again' })).connack?.reasonCode, 0);
});

test('a release that fails is reported, and presence is not', async (t) => {
  const reported: string[] = [];
  const claims = new ConnectionClaims({
    context: {
      clock: fakeClock(),
      events: {
        connected: () => undefined,
        disconnected: () => undefined,
        refused: () => undefined,
        denied: () => undefined,
        dropped: () => undefined,
        released: () => void reported.push('released'),
        failed: (_cause, _error, message) => void reported.push(message),
      },
    },
    sessions: { get: () => undefined },
    claims: {
      isShared: true,
      refusalOf: () => undefined,
      claim: () => ({ refused: 'internal' }),
      release: () => Promise.reject(new Error('gone')),
    },
    connectionsOf: () => [],
  });
  const world = await startWorld(t);
  const connection = world.accept((await world.raw()).socket, 'd');
  const claim = { takesOver: false, previousElsewhere: undefined, version: 1 };
  claims.release(Object.assign(connection, { claim }), 'd', undefined);
  await until('it is reported', () => reported.length > 0 || undefined);
  t.deepEqual(reported, ['could not release a session']);
});
