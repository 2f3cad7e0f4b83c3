import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { originText } from '../../../../cli/lib/enrollment-origin.ts';
import { renewalTimeMs } from '../../../../cli/lib/renewal-schedule.ts';
import { suggestedRenewalMs } from '../../../../cli/lib/suggested-renewal.ts';
import { readCertificate, type CertificateFacts } from '../../../../certs/certificate.ts';
import type { IdentityContent } from '../../../../core/identity-folder.ts';
import { enrollService, type TestService } from '../../../support/enroll-service.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

const hourMs = 3_600_000;
const renewal = { part: 0.3, spread: 0, checkInterval: '2h' };

interface World {
  readonly service: TestService;
  readonly facts: CertificateFacts;
  readonly dir: string;
  readonly ask: (nowMs: number) => Promise<number>;
}

async function world(t: ExecutionContext): Promise<World> {
  const service = await enrollService(t, { config: { enroll: { renewal } } });
  const { issued, credential } = await service.device('pump-1');
  const dir = tempFolder(t);
  const identity: IdentityContent = {
    key: credential.key,
    cert: issued.certificate,
    chain: issued.chain,
    ca: issued.ca,
    enrollment: originText({ url: service.url }),
  };
  return {
    ...{ service, dir, facts: readCertificate(issued.certificate) },
    ask: (nowMs) => suggestedRenewalMs({ dir }, identity, nowMs),
  };
}

test('the service names the time; the answer is kept, and used when the service is away', async (t) => {
  const { service, facts, dir, ask } = await world(t);
  const nowMs = Date.now();
  const path = join(dir, '.renewal-info.json');
  const askedAt = (): number =>
    (JSON.parse(readFileSync(path, 'utf8')) as { askedAtMs: number }).askedAtMs;
  const named = await ask(nowMs);
  const part = (named - facts.notBeforeMs) / (facts.notAfterMs - facts.notBeforeMs);
  t.true(Math.abs(part - 0.3) < 1e-4, String(part));
  await ask(nowMs + 2 * hourMs - 1);
  t.is(askedAt(), nowMs, 'not asked again before the time that the service names');
  await ask(nowMs + 2 * hourMs);
  t.is(askedAt(), nowMs + 2 * hourMs);
  const latest = await ask(nowMs);
  t.is(askedAt(), nowMs, 'asked again after the clock was set back');
  await service.service.close();
  t.is(await ask(nowMs + 5 * hourMs), latest, 'the last answer');
  rmSync(path);
  t.is(await ask(nowMs + hourMs), renewalTimeMs(facts), 'the lifetime');
});
