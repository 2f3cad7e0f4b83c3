import test from 'ava';
import { BrokerMetrics } from '../../broker/telemetry/broker-metrics.ts';
import { registerProcessMetrics } from '../../core/telemetry/process-metrics.ts';
import { runChild } from '../support/child.ts';
import { debianTool } from '../support/debian-tool.ts';
import { followFeed } from '../support/enroll-broker.ts';
import { enrollService } from '../support/enroll-service.ts';
import { until } from '../support/until.ts';

test('the metrics port of the enrollment service has health, readiness, status and metrics', async (t) => {
  const service = await enrollService(t);
  const { url } = service.service.addresses.metrics;
  const get = async (path: string): Promise<string> => {
    const response = await fetch(new URL(path, url));
    return `${response.status} ${await response.text()}`;
  };
  t.regex(await get('/healthz'), /^200 .*event loop/);
  t.regex(
    await get('/readyz'),
    /^200 .*"listening","ok":true.*audit log.*issuer.*server certificate/,
  );
  // No broker is connected: an operator has to look.
  t.regex(await get('/statusz'), /^503 .*brokers on the feed/);
  t.regex(await get('/elsewhere'), /^404 /);
  const before = await get('/metrics');
  for (const line of [
    'flotilla_enroll_audit_events_total{action="certificate-issued"} 0',
    'flotilla_enroll_audit_events_total{action="device-revoked"} 0',
    'flotilla_enroll_http_responses_total{status="5xx"} 0',
    'flotilla_enroll_brokers_connected 0',
    'flotilla_enroll_audit_log_writable 1',
    'flotilla_enroll_identities 2',
  ]) {
    t.true(before.split('\n').includes(line), line);
  }
  t.regex(before, /^process_resident_memory_bytes \d+$/m);
  t.regex(before, /^flotilla_build_info\{component="enrollment",/m);
  await service.device('d1');
  await service.asAdmin('POST', '/v1/devices/d1/revoke', {});
  await service.call({ method: 'GET', path: '/nothing-here' });
  await followFeed(t, service);
  await until('the figures', async () => {
    const lines = (await get('/metrics')).split('\n');
    return [
      'flotilla_enroll_audit_events_total{action="certificate-issued"} 1',
      'flotilla_enroll_audit_events_total{action="device-revoked"} 1',
      'flotilla_enroll_http_responses_total{status="4xx"} 1',
      'flotilla_enroll_brokers_connected 1',
      'flotilla_enroll_identities 3',
    ].every((line) => lines.includes(line));
  });
});

test('promtool accepts the metrics of both services', async (t) => {
  const promtool = debianTool(t, 'promtool');
  if (promtool === undefined) return;
  const service = await enrollService(t);
  const enrollment = await fetch(new URL('/metrics', service.service.addresses.metrics.url));
  const broker = new BrokerMetrics();
  registerProcessMetrics(broker.registry, 'broker');
  for (const text of [await enrollment.text(), await broker.registry.metrics()]) {
    const { code, stdout, stderr } = await runChild(t, promtool, ['check', 'metrics'], {
      input: text,
    });
    t.is(`${stdout}${stderr}`, '');
    t.is(code, 0);
  }
});
