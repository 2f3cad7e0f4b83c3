/** `GET /v1/renewal-info`: the service names the time at which a device should renew. */
import test from 'ava';
import { privateKeyPem } from '../../certs/key.ts';
import {
  renewalInfoSchema,
  type Issued,
  type RenewalInfo,
} from '../../core/protocol/enrollment-api.ts';
import {
  csrOf,
  enrollService,
  replyOf,
  type Credential,
  type Reply,
  type TestService,
} from '../support/enroll-service.ts';
import { fakeClock } from '../support/fake-clock.ts';

const dayMs = 86_400_000;

async function infoOf(
  service: TestService,
  credential: Credential,
): Promise<{ readonly info: RenewalInfo; readonly retryAfter: string | undefined }> {
  const answer = await service.call({ method: 'GET', path: '/v1/renewal-info', ...credential });
  const info = renewalInfoSchema.parse(JSON.parse(answer.body.toString()));
  return { info, retryAfter: answer.headers['retry-after'] };
}

async function renew(service: TestService, id: string, credential: Credential): Promise<Reply> {
  const body = { csr: csrOf(id).pem };
  return replyOf(await service.call({ method: 'POST', path: '/v1/renew', ...credential, body }));
}

const partOf = ({ notBefore, notAfter }: Issued, at: string): number =>
  (Date.parse(at) - Date.parse(notBefore)) / (Date.parse(notAfter) - Date.parse(notBefore));

test.serial(
  'the time is the configured part of the lifetime, but not before the profile accepts a renewal',
  async (t) => {
    const clock = fakeClock(Date.now());
    const renewal = { part: 0.5, spread: 0, checkInterval: '2h' };
    const profiles = { late: { renewalPart: 0.2 } };
    const service = await enrollService(t, { clock, config: { enroll: { renewal, profiles } } });
    const { issued, credential } = await service.device('pump-1');
    const { info, retryAfter } = await infoOf(service, credential);
    t.is(info.renewAt, issued.renewAt!);
    t.true(Math.abs(partOf(issued, info.renewAt) - 0.5) < 1e-6);
    t.is(info.renewInSeconds, Math.ceil((Date.parse(info.renewAt) - clock.now()) / 1000));
    t.is(info.reason, 'lifetime');
    t.is(info.serial, issued.serial);
    t.is(info.retryAfterSeconds, 7200);
    t.is(retryAfter, '7200');
    const { token } = await service.token('pump-2', { profile: 'late' });
    const { key, pem } = csrOf('pump-2');
    const late = (await service.enroll('pump-2', pem, token)).body as unknown as Issued;
    t.true(partOf(late, late.renewAt!) > 0.7999);
    const lateInfo = await infoOf(service, { cert: late.chain, key: privateKeyPem(key) });
    t.is(lateInfo.info.renewAt, late.renewAt!);
    t.is((await service.call({ method: 'GET', path: '/v1/renewal-info' })).status, 401);
    clock.jump(200 * dayMs);
    t.is((await infoOf(service, credential)).info.renewInSeconds, 0);
  },
);

test.serial(
  'after a new issuer, certificates of one that ends soon are due now, whatever the profile says',
  async (t) => {
    const clock = fakeClock(Date.now());
    const service = await enrollService(t, {
      clock,
      config: {
        enroll: {
          // All of the lifetime of an issuer.
          renewal: { issuerEnding: '20000d' },
          profiles: { default: { renewalPart: 0.1 } },
        },
      },
    });
    const { issued, credential } = await service.device('pump-1');
    const early = await renew(service, 'pump-1', credential);
    t.is(early.body['code'], 'renewal-too-early');
    clock.advance(60_000);
    t.is((await service.asAdmin('POST', '/v1/issuers', {})).status, 201);
    const { info } = await infoOf(service, credential);
    t.is(info.reason, 'issuer-ending');
    t.is(info.renewInSeconds, 0);
    const reply = await renew(service, 'pump-1', credential);
    t.is(reply.status, 201, JSON.stringify(reply.body));
    const renewed = reply.body as unknown as Issued;
    t.true(Date.parse(renewed.renewAt!) > Date.parse(issued.notBefore) + 300 * dayMs);
  },
);
