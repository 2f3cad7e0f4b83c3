/** What the enrollment service takes in: hostile until parsed. @module */
import test from 'ava';
import type { z } from 'zod';
import {
  enrollRequestSchema,
  problemSchema,
  relayRenewRequestSchema,
  renewRequestSchema,
  revokeRequestSchema,
  serviceRequestSchema,
  tokenBatchRequestSchema,
  tokenRequestSchema,
} from '../../../../core/protocol/enrollment-api.ts';

const fingerprint = `sha256:${'ab'.repeat(32)}`;
const csr = 'x'.repeat(16_384);

const cases: readonly [name: string, schema: z.ZodType, good: object[], bad: unknown[]][] = [
  [
    'an enrollment',
    enrollRequestSchema,
    [{ device: 'pump-7', csr }],
    [
      { device: 'pump-7' },
      { device: 'pump-7', csr: '' },
      { device: 'pump-7', csr: `${csr}x` },
      { device: 'a/b', csr },
      { device: 7, csr },
      { device: 'pump-7', csr, role: 'admin' },
    ],
  ],
  ['a renewal', renewRequestSchema, [{ csr }], [{}, { csr: 5 }, { csr, device: 'other' }]],
  [
    'a renewal through a broker',
    relayRenewRequestSchema,
    [{ device: 'a', serial: '0a', fingerprint, csr, remoteAddress: '::1' }],
    [
      { device: 'a', serial: '0A', fingerprint, csr, remoteAddress: '::1' },
      { device: 'a', serial: '0a', fingerprint: 'x', csr, remoteAddress: '::1' },
      { device: 'a', serial: '0a', fingerprint, csr, remoteAddress: 'x'.repeat(65) },
    ],
  ],
  [
    'a token',
    tokenRequestSchema,
    [{ device: 'a' }, { device: 'a', group: 'g', ttlSeconds: 1, uses: 1_000_000 }],
    [
      { device: '' },
      { device: 'a', group: '' },
      { device: 'a', group: 'x'.repeat(129) },
      { device: 'a', ttlSeconds: 0 },
      { device: 'a', ttlSeconds: 1.5 },
      { device: 'a', ttlSeconds: 365 * 86_400 + 1 },
      { device: 'a', uses: 0 },
      { device: 'a', uses: 1_000_001 },
    ],
  ],
  [
    'many tokens',
    tokenBatchRequestSchema,
    [{ devices: ['a', 'b'] }],
    [{ devices: [] }, { devices: Array.from({ length: 1001 }, () => 'a') }, { devices: ['#'] }],
  ],
  [
    'a service',
    serviceRequestSchema,
    [{ name: 'backend', role: 'service', csr }],
    [
      { name: 'backend', role: 'device', csr },
      { name: 'backend', role: 'root', csr },
      { name: '../x', role: 'service', csr },
      { name: 'b', role: 'broker', csr, names: Array.from({ length: 33 }, () => 'a') },
      { name: 'b', role: 'broker', csr, names: ['x'.repeat(254)] },
    ],
  ],
  ['a revocation', revokeRequestSchema, [{}, { reason: 'keyCompromise' }], [{ reason: 'boredom' }]],
];

for (const [name, schema, good, bad] of cases) {
  test(`${name} is accepted in its form only`, (t) => {
    for (const body of good)
      t.true(schema.safeParse(body).success, JSON.stringify(body).slice(0, 80));
    for (const body of [...bad, null, [], 'text', 5]) {
      t.false(schema.safeParse(body).success, JSON.stringify(body).slice(0, 80));
    }
    for (const body of good) t.false(schema.safeParse({ ...body, surplus: 1 }).success);
  });
}

test('a problem document of a later version is accepted', (t) => {
  const problem = { type: 'urn:x', title: 'x', status: 400, code: 'new-code' };
  t.like(problemSchema.parse({ ...problem, instance: '/1', of: 'tomorrow' }), problem);
  t.false(problemSchema.safeParse({ title: 'x' }).success);
});
