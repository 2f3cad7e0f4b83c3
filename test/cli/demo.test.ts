import test from 'ava';
import { z } from 'zod';
import {
  devicePageSchema,
  pendingRequestSchema,
  requestPageSchema,
} from '../../core/protocol/enrollment-api.ts';
import { flotilla, startUpWith } from '../support/cli.ts';
import { until } from '../support/until.ts';

test('a demonstration has a denied device, a certificate that ends within a day, and a device that waits and works once approved', async (t) => {
  const up = await startUpWith({}, '--demo');
  t.teardown(() => up.close());
  const devices = async (): Promise<ReadonlyMap<string, { connected: boolean; ends: number }>> => {
    const page = await up.ask(devicePageSchema, 'device', 'list');
    return new Map<string, { connected: boolean; ends: number }>(
      page.devices.map(({ id, connected, certificates }) => [
        id,
        { connected, ends: Date.parse(certificates.at(-1)?.notAfter ?? '') },
      ]),
    );
  };
  await until('two devices are connected', async () => {
    const all = await devices();
    return (all.get('lift-7')?.connected === true && all.get('pump-3')?.connected) || undefined;
  });
  const ends = (await devices()).get('pump-3')?.ends ?? 0;
  t.true(ends < Date.now() + 86_400_000);
  const request = await until('a device waits', async () => {
    const { requests } = await up.ask(requestPageSchema, 'request', 'list');
    return requests[0];
  });
  t.like(request, { device: 'crane-1' });
  const { https, ca } = up.ready;
  const pending = await flotilla([
    ...['device', 'enroll', '--no-token', '--id', 'crane-2', '--out', `${up.folder}/crane-2`],
    ...['--url', https.url, '--fingerprint', ca.fingerprint],
  ]);
  const { requests } = await up.ask(requestPageSchema, 'request', 'list');
  const shown = requests.find(({ device }) => String(device) === 'crane-2')?.fingerprint ?? '';
  t.regex(shown, /^sha256:/);
  t.true(pending.stderr.includes(`crane-2, key ${shown}. `), pending.stderr);
  await up.ask(pendingRequestSchema, 'request', 'approve', request.id);
  await until('the approved device is connected', async () =>
    (await devices()).get('crane-1')?.connected === true ? true : undefined,
  );
  await until('the denial is in the audit log', async () => {
    const lines = z.looseObject({
      lines: z.array(z.looseObject({ action: z.string(), device: z.string().optional() })),
    });
    const tail = await up.ask(lines, 'audit', 'tail', '--device', 'lift-7');
    return tail.lines.some(({ action }) => action === 'access-refused') || undefined;
  });
});
