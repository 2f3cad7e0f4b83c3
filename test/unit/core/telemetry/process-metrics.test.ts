import test from 'ava';
import { Registry } from 'prom-client';
import { registerProcessMetrics } from '../../../../core/telemetry/process-metrics.ts';

test('the process reports CPU time, memory, open files, garbage collection and its version', async (t) => {
  const registry = new Registry();
  registerProcessMetrics(registry, 'broker');
  const text = await registry.metrics();
  for (const name of [
    'process_cpu_seconds_total',
    'process_resident_memory_bytes',
    'process_start_time_seconds',
    'nodejs_heap_size_used_bytes',
    'nodejs_external_memory_bytes',
  ]) {
    t.regex(text, new RegExp(`^${name} [0-9.e+]+$`, 'm'));
  }
  t.regex(text, /^flotilla_build_info\{component="broker",version="[^"]+",node="v\d+[^"]*"\} 1$/m);
  for (const [, name, type] of text.matchAll(/^# TYPE (\w+) (\w+)$/gm)) {
    t.is(name!.endsWith('_total'), type === 'counter', name);
  }
});
