import test from 'ava';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { issuedSchema, tokenBatchSchema, type Issued } from '../../core/protocol/enrollment-api.ts';
import { callHttps, callJson, type Call } from '../../core/protocol/https-client.ts';
import { identityFiles, stateFolder } from '../../core/state-folder.ts';
import { tailAudit, verifyAudit } from '../../enroll/audit/audit-reader.ts';
import { spawnChild } from '../support/child.ts';
import { csrOf } from '../support/enroll-service.ts';
import { tempFolder } from '../support/temp-folder.ts';

const program = fileURLToPath(new URL('../support/enroll-server-process.ts', import.meta.url));

test('kill -9 while 50 devices enroll: no certificate is lost, and no token yields two', async (t) => {
  const root = join(tempFolder(t), 'state');
  const state = stateFolder(root);
  const start = async (): Promise<{ child: ReturnType<typeof spawnChild>; url: string }> => {
    const child = spawnChild(t, process.execPath, [program, root], { timeoutMs: 60_000 });
    const line = await child.line((text) => text.startsWith('{'), 30_000);
    return { child, url: (JSON.parse(line) as { url: string }).url };
  };
  const first = await start();
  const files = identityFiles(state.admin);
  const [ca, cert, key] = await Promise.all(
    [files.ca, files.chain, files.key].map((path) => readFile(path, 'utf8')),
  );
  const admin = { ca: ca!, cert: cert!, key: key! };
  const ids = Array.from({ length: 50 }, (_none, at) => `k${at}`);
  const { tokens } = await callJson(
    { method: 'POST', url: `${first.url}/v1/tokens/batch`, ...admin, body: { devices: ids } },
    tokenBatchSchema,
  );
  const devices = tokens.map(({ token, device }) => ({
    id: device,
    token,
    csr: csrOf(device).pem,
  }));
  const enroll = async (
    url: string,
    { id, token, csr }: (typeof devices)[number],
  ): Promise<Issued> => {
    const call: Call = {
      method: 'POST',
      url: `${url}/v1/enroll`,
      ca: ca!,
      bearer: token,
      body: { device: id, csr },
    };
    const answer = await callHttps(call);
    return issuedSchema.parse(JSON.parse(answer.body.toString()));
  };
  const answered = new Map<string, Issued>();
  // Eight at a time: at the kill, most have not begun, some are in progress, some have a response.
  const queue = [...devices];
  const worker = async (): Promise<void> => {
    for (let device = queue.shift(); device !== undefined; device = queue.shift()) {
      const issued = await enroll(first.url, device).catch(() => undefined);
      if (issued !== undefined) answered.set(device.id, issued);
      if (answered.size === 15) first.child.process.kill('SIGKILL');
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  await first.child.finished;
  t.true(answered.size >= 15);
  t.true(answered.size < 50, 'it was killed in the middle');

  const second = await start();
  for (const device of devices) {
    // The same request again: devices that had a response get the same certificate, the others get one.
    const issued = await enroll(second.url, device);
    const before = answered.get(device.id);
    if (before !== undefined) t.is(issued.serial, before.serial, device.id);
    const shown = await callHttps({
      method: 'GET',
      url: `${second.url}/v1/devices/${device.id}`,
      ...admin,
    });
    const { certificates } = JSON.parse(shown.body.toString()) as {
      certificates: { serial: string }[];
    };
    t.deepEqual(
      certificates.map(({ serial }) => serial),
      [issued.serial],
    );
    // Another CSR gets no certificate, neither before the crash nor after it.
    const thief = await callHttps({
      method: 'POST',
      url: `${second.url}/v1/enroll`,
      ca: ca!,
      bearer: device.token,
      body: { device: device.id, csr: csrOf(device.id).pem },
    });
    t.is(thief.status, 409);
  }
  await second.child.stop('SIGKILL');
  const verdict = await verifyAudit(state.enroll.audit);
  t.true(verdict.ok, verdict.detail);
  const lines = await tailAudit(state.enroll.audit, 1000);
  const issuedTo = lines
    .filter(({ action, device }) => action === 'certificate-issued' && device?.startsWith('k'))
    .map(({ device }) => device);
  t.deepEqual(issuedTo.toSorted(), ids.toSorted());
});
