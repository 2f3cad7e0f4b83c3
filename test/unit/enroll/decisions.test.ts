import test from 'ava';
import fc from 'fast-check';
import { checkConfig } from '../../../core/config/config.ts';
import { isFlotillaError } from '../../../core/errors/flotilla-error.ts';
import { approvingRule } from '../../../enroll/enrollment/approval-rules.ts';
import { profileOf, profileOrDefault } from '../../../enroll/enrollment/profiles.ts';
import { tokenHash } from '../../../enroll/enrollment/tokens.ts';
import { basicOf, bearerOf } from '../../../enroll/http/authorization-header.ts';
import { withCertificate } from '../../../enroll/registry/device-rows.ts';
import { RateLimiter } from '../../../core/rate-limiter.ts';
import { certificateOf } from '../../contract/registry.ts';
import { fakeClock } from '../../support/fake-clock.ts';

test('a rule approves devices that match all its conditions, and a rule without conditions approves none', (t) => {
  const rules = [
    {},
    { idPrefix: 'a-', factory: 'maker' },
    { addresses: ['10.1.0.0/16', '192.168.7.7', 'fd00::/8'] },
  ];
  const who = { device: 'a-1', remoteAddress: '172.16.0.1', factory: null };
  t.is(approvingRule(rules, who), undefined);
  t.is(approvingRule(rules, { ...who, factory: 'maker' }), 1);
  t.is(approvingRule(rules, { ...who, factory: 'maker', device: 'b-1' }), undefined);
  t.is(approvingRule(rules, { ...who, remoteAddress: '10.1.255.1' }), 2);
  t.is(approvingRule(rules, { ...who, remoteAddress: '10.2.0.1' }), undefined);
  t.is(approvingRule(rules, { ...who, remoteAddress: '192.168.7.7' }), 2);
  t.is(approvingRule(rules, { ...who, remoteAddress: 'fd12::1' }), 2);
  t.is(approvingRule(rules, { ...who, remoteAddress: '' }), undefined);
});

test('a rate limiter allows its capacity, returns the time to wait, and refills over time', (t) => {
  const clock = fakeClock();
  const limiter = new RateLimiter(clock, 3, 3000);
  t.deepEqual([limiter.take('a'), limiter.take('a'), limiter.take('a')], [0, 0, 0]);
  t.is(limiter.take('a'), 1);
  t.is(limiter.take('b'), 0);
  clock.advance(1000);
  t.is(limiter.wait('a'), 0);
  t.is(limiter.take('a'), 0);
  t.is(limiter.take('a'), 1);
  clock.advance(3_600_000);
  t.deepEqual(
    [0, 1, 2, 3].map(() => limiter.take('a')),
    [0, 0, 0, 1],
  );
});

test('only 32 bytes in canonical base64url are a token', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 0, maxLength: 40 }), (bytes) => {
      const text = Buffer.from(bytes).toString('base64url');
      t.is(tokenHash(text) !== undefined, bytes.length === 32);
    }),
  );
  const right = Buffer.alloc(32, 255).toString('base64url');
  t.truthy(tokenHash(right));
  t.is(tokenHash(`${right.slice(0, -1)}9`), undefined, 'spare bits set');
  t.is(tokenHash(`${right}=`), undefined);
  t.is(tokenHash(` ${right}`), undefined);
});

test('only valid credentials are read from the Authorization header', (t) => {
  t.is(bearerOf(undefined), undefined);
  t.is(bearerOf('Bearer abc'), 'abc');
  t.is(bearerOf('bearer  abc'), 'abc');
  for (const header of ['', 'Bearer', 'Bearer a b', 'Digest x', `Bearer ${'x'.repeat(2000)}`]) {
    t.true(
      isFlotillaError(
        t.throws(() => bearerOf(header)),
        'token-invalid',
      ),
      header,
    );
  }
  const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;
  // A device id may contain colons, a token cannot.
  t.deepEqual(basicOf(basic('d1:a:b')), { user: 'd1:a', password: 'b' });
  t.is(basicOf('Bearer abc'), undefined);
  t.true(
    isFlotillaError(
      t.throws(() => basicOf(basic('nocolon'))),
      'token-invalid',
    ),
  );
});

test('a profile inherits from the default one; an unknown name is refused, or falls back to the default', (t) => {
  const config = checkConfig({
    enroll: { certificateValidity: '7d', profiles: { short: { validity: '1h', group: 'g' } } },
  });
  t.like(profileOf(config), { name: 'default', validityMs: 7 * 86_400_000, group: null });
  t.like(profileOf(config, 'short'), { validityMs: 3_600_000, group: 'g', keyReuse: true });
  t.true(
    isFlotillaError(
      t.throws(() => profileOf(config, 'none')),
      'profile-not-found',
    ),
  );
  t.true(
    isFlotillaError(
      t.throws(() => profileOf(config, 'constructor')),
      'profile-not-found',
    ),
  );
  t.is(profileOrDefault(config, 'gone').name, 'default');
});

test('of too many certificates invalid ones are removed first, and never the one that made the request', (t) => {
  const state = fc.constantFrom('active' as const, 'revoked' as const, 'retired' as const);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(state, fc.boolean()), { maxLength: 10 }),
      fc.nat(9),
      (states, which) => {
        const before = states.map(([status, ended], at) =>
          certificateOf(`c${at}`, { status, notAfterMs: ended ? 1 : 100 }),
        );
        const keep = before[which]?.serial;
        const after = withCertificate(before, certificateOf('new', { notAfterMs: 100 }), {
          max: 4,
          nowMs: 50,
          ...(keep === undefined ? {} : { keep }),
        });
        t.true(after.length <= 4);
        t.is(after.at(-1)?.serial, certificateOf('new').serial);
        if (keep !== undefined) t.true(after.some(({ serial }) => serial === keep));
        const good = (one: (typeof before)[number]): boolean =>
          one.status === 'active' && one.notAfterMs >= 50;
        const lostGood = before.filter((one) => good(one) && !after.includes(one));
        const keptBad = after.filter((one) => !good(one) && one.serial !== keep);
        t.false(lostGood.length > 0 && keptBad.length > 0);
      },
    ),
  );
});
