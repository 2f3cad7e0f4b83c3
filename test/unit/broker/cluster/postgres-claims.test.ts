/** The claims of one broker, with a database that answers as the test says. */
import test, { type ExecutionContext } from 'ava';
import { defaultClaimLimits, type ClaimLimits } from '../../../../broker/cluster/claim-limits.ts';
import { PostgresClaims } from '../../../../broker/cluster/postgres-claims.ts';
import type {
  ClaimAnswer,
  ClaimRequest,
  SessionClaim,
} from '../../../../broker/contracts/session-claims.ts';
import { FakeClaimDatabase, fencedError } from '../../../support/fake-claim-database.ts';
import { fakeClock, type FakeClock } from '../../../support/fake-clock.ts';
import { identityOf } from '../../../support/session-world.ts';
import { until } from '../../../support/until.ts';

interface Broker {
  readonly claims: PostgresClaims;
  readonly database: FakeClaimDatabase;
  readonly clock: FakeClock;
  /** The messages of reported failures. */
  readonly failures: string[];
  readonly fencedTimes: () => number;
}

async function broker(t: ExecutionContext, limits: Partial<ClaimLimits> = {}): Promise<Broker> {
  const database = new FakeClaimDatabase();
  const clock = fakeClock();
  const failures: string[] = [];
  let fencedTimes = 0;
  const claims = await PostgresClaims.join({
    ...{ clock, database, node: 'broker-1', local: { refusalOf: () => undefined } },
    limits: { ...defaultClaimLimits, ...limits },
    evict: () => undefined,
    fenced: () => fencedTimes++,
    failed: (_error, message) => failures.push(message),
  });
  t.teardown(() => claims.close());
  return { claims, database, clock, failures, fencedTimes: () => fencedTimes };
}

function requestOf(clientId: string, device = clientId): ClaimRequest {
  const connection = { identity: identityOf(device), clientId, protocolVersion: 5 };
  return { connection, clientId, clean: false, isAssigned: false, connectionsMax: 4 };
}

const grantedAt = (epoch: number): object => ({
  ...{ kind: 'granted', epoch, takesOver: false, version: epoch },
});
const written = { kind: 'written', version: 9, other: null, transferTo: null };

async function grantedClaim(
  { database }: Broker,
  answer: ClaimAnswer | Promise<ClaimAnswer>,
  epoch: number,
): Promise<SessionClaim> {
  (await database.next()).answer(grantedAt(epoch));
  const claim = await answer;
  if ('refused' in claim) throw new Error(claim.refused);
  return claim;
}

const tooMany = { refused: 'claims-too-many' } as const;

test('claims beyond the limit of open claims are refused until one has an answer', async (t) => {
  const one = await broker(t, { openClaimsMax: 2 });
  const answers = ['a', 'b'].map((id) => Promise.resolve(one.claims.claim(requestOf(id))));
  t.deepEqual(one.claims.claim(requestOf('c')), tooMany);
  t.is(one.claims.refusalOf(requestOf('c')), 'claims-too-many');
  (await one.database.next()).answer(grantedAt(1), grantedAt(2));
  await Promise.all(answers);
  t.is(one.claims.refusalOf(requestOf('c')), undefined);
});

test('a new client id is refused at the limit of client ids, and a known one is not', async (t) => {
  const one = await broker(t, { clientIdsMax: 1 });
  await grantedClaim(one, one.claims.claim(requestOf('a')), 1);
  t.deepEqual(one.claims.claim(requestOf('b')), tooMany);
  t.is(one.claims.refusalOf(requestOf('a')), undefined);
});

test('claims are refused while too many transactions wait for a statement', async (t) => {
  const one = await broker(t, { queuedTransactionsMax: 2 });
  void one.claims.claim(requestOf('a'));
  const first = await one.database.next();
  void one.claims.claim(requestOf('b'));
  void one.claims.claim(requestOf('c'));
  t.deepEqual(one.claims.claim(requestOf('d')), tooMany);
  first.answer(grantedAt(1));
  t.is((await one.database.next()).transactions.length, 2);
  t.is(one.claims.refusalOf(requestOf('d')), undefined);
});

test('claims are refused while the outcome of too many transactions is unknown', async (t) => {
  const one = await broker(t, { uncertainClientIdsMax: 1 });
  const answer = one.claims.claim(requestOf('a'));
  (await one.database.next()).fail(new Error('the connection was lost'));
  t.deepEqual(await answer, { refused: 'session-unavailable' });
  t.deepEqual(one.claims.claim(requestOf('b')), tooMany);
  await until('the row was read for long enough', () => {
    one.clock.advance(500);
    return one.claims.refusalOf(requestOf('b')) === undefined;
  });
});

test('a notification that is not a hint is ignored and reported', async (t) => {
  const { database, failures } = await broker(t);
  const wrong = ['', '{', 'null', '{}', '{"client":5}', '{"client":"a","epoch":"1"}'];
  for (const text of wrong) database.notify(text);
  t.deepEqual(
    failures,
    wrong.map(() => 'ignored a notification'),
  );
  database.notify('{"client":"a","epoch":1}');
  t.is(failures.length, wrong.length);
});

test('a claim is refused at its time limit although the database does not answer', async (t) => {
  const { claims, clock, database } = await broker(t);
  database.answers = false;
  const answer = claims.claim(requestOf('a'));
  await database.next();
  clock.advance(10_500);
  t.deepEqual(await answer, { refused: 'session-unavailable' });
});

test('a release that a newer claim replaces gets its facts before that one is released', async (t) => {
  const one = await broker(t);
  const { claims, database } = one;
  const request = requestOf('a');
  const claim = await grantedClaim(one, claims.claim(request), 1);
  const newer = claims.claim(request);
  const held = await database.next();
  const facts = claims.release({ claim, ...request, sessionStays: true });
  held.answer(grantedAt(2));
  await newer;
  (await database.next()).answer(written);
  t.deepEqual(await facts, { other: undefined, version: 9 });
});

test('a release has the identity of its claim although another identity has claimed the client id', async (t) => {
  const one = await broker(t);
  const { claims, database } = one;
  const request = requestOf('shared', 'owner');
  const claim = await grantedClaim(one, claims.claim(request), 1);
  const foreign = claims.claim(requestOf('shared', 'other'));
  (await database.next()).answer({ kind: 'refused', code: 'client-id-not-allowed' });
  t.deepEqual(await foreign, { refused: 'client-id-not-allowed' });
  const facts = claims.release({ claim, ...request, sessionStays: true });
  const release = await database.next();
  t.like(release.transactions[0], { kind: 'release', identity: 'owner' });
  release.answer(written);
  await facts;
  const next = requestOf('shared', 'other');
  const nextClaim = await grantedClaim(one, claims.claim(next), 2);
  const nextFacts = claims.release({ claim: nextClaim, ...next, sessionStays: false });
  const nextRelease = await database.next();
  t.like(nextRelease.transactions[0], { kind: 'release', identity: 'other' });
  nextRelease.answer(written);
  await nextFacts;
});

test('a fenced broker that cannot begin again at once does so later, and its releases get their facts', async (t) => {
  const one = await broker(t);
  const { claims, clock, database, failures } = one;
  const request = requestOf('a');
  const claim = await grantedClaim(one, claims.claim(request), 1);
  const facts = claims.release({ claim, ...request, sessionStays: true });
  database.canJoin = false;
  (await database.next()).fail(fencedError());
  await until('it has failed', () => failures.includes('could not begin a new incarnation'));
  database.canJoin = true;
  await until('it sends again', () => {
    clock.advance(500);
    return database.held.length > 0;
  });
  (await database.next()).fail(fencedError());
  await until('there is a new incarnation', () => {
    clock.advance(500);
    return database.held.length > 0;
  });
  t.is(one.fencedTimes(), 2);
  const again = await database.next();
  t.is(again.number, 2);
  t.deepEqual(
    again.transactions.map(({ kind, epoch }) => ({ kind, epoch })),
    [{ kind: 'release', epoch: 0 }],
  );
  again.answer(written);
  t.is((await facts).version, 9);
});

test('when it closes, open claims are refused and releases are rejected', async (t) => {
  const one = await broker(t);
  const { claims } = one;
  const request = requestOf('a');
  const claim = await grantedClaim(one, claims.claim(request), 1);
  const facts = claims.release({ claim, ...request, sessionStays: true });
  const open = claims.claim(requestOf('b'));
  claims.close();
  t.deepEqual(await open, { refused: 'session-unavailable' });
  t.like(await t.throwsAsync(facts), { code: 'session-unavailable' });
  t.is(one.clock.pending, 0);
});
