import test from 'ava';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  allocatorSetting,
  allocatorVariables,
  jemallocLibrary,
  withoutAllocator,
} from '../../../../cli/lib/allocator.ts';
import { loadedAllocator } from '../../../../core/telemetry/loaded-allocator.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

test('the setting comes from the environment, then from the file of the state folder', (t) => {
  const state = tempFolder(t);
  const file = (text: string): void => writeFileSync(join(state, 'flotilla.yaml'), text);
  const setting = (env = {}): string => allocatorSetting(['up', '--state', state], env);
  t.is(setting(), 'auto', 'there is no file');
  file('# allocator: jemalloc\nnames: [a] # allocator: jemalloc\n');
  t.is(setting(), 'auto', 'comments');
  for (const text of ['memory:\n  allocator: system # x\n', 'memory: { "allocator": "system" }']) {
    file(text);
    t.is(setting(), 'system', text);
  }
  t.is(setting({ FLOTILLA_MEMORY__ALLOCATOR: 'jemalloc' }), 'jemalloc');
  t.is(allocatorSetting(['up', `--state=${state}`], {}), 'system');
  t.is(allocatorSetting(['up'], { FLOTILLA_STATE: state }), 'system');
});

test('the allocator is for this process, and not for the programs that it starts', (t) => {
  t.deepEqual(allocatorVariables('system', {}), {});
  const choice = { LD_PRELOAD: '/opt/libtcmalloc.so' };
  t.deepEqual(allocatorVariables('jemalloc', choice), {}, 'a choice of the operator stays');
  const preloaded = { LD_PRELOAD: '/opt/a.so' };
  t.deepEqual(allocatorVariables('auto', preloaded), {}, 'an operator has preloaded a library');
  for (const LD_PRELOAD of ['/opt/libtcmalloc.so', '/usr/lib/libjemalloc.so.2']) {
    t.deepEqual(
      withoutAllocator({ LD_PRELOAD, A: '1' }),
      { LD_PRELOAD, A: '1' },
      'of the operator',
    );
  }
  const ours = '/usr/lib/libjemalloc.so.2:';
  t.deepEqual(withoutAllocator({ LD_PRELOAD: ours }), {});
  t.deepEqual(withoutAllocator({ LD_PRELOAD: `${ours}/opt/a.so` }), preloaded);
  t.is(jemallocLibrary('darwin'), undefined);
  const library = jemallocLibrary();
  if (library === undefined) return;
  for (const env of [{}, preloaded, { MALLOC_CONF: 'narenas:1' }, { PATH: '/bin' }]) {
    const variables = allocatorVariables('jemalloc', env);
    t.is(variables['LD_PRELOAD'], `${library}:${'LD_PRELOAD' in env ? env.LD_PRELOAD : ''}`);
    t.deepEqual(withoutAllocator({ ...env, ...variables }), env);
  }
  t.regex(allocatorVariables('jemalloc', {})['MALLOC_CONF'] ?? '', /background_thread:true/);
  const own = allocatorVariables('jemalloc', { MALLOC_CONF: 'narenas:1' });
  t.false('MALLOC_CONF' in own, 'settings of the operator stay');
});

test('the allocator is recognized by the libraries of the process', (t) => {
  t.is(loadedAllocator('7f-80 r--p 0 08:01 7 /usr/lib/x/libjemalloc.so.2\n'), 'jemalloc');
  t.is(loadedAllocator('7f-80 r--p 0 08:01 7 /opt/libtcmalloc_minimal.so.4\n'), 'tcmalloc');
  t.is(loadedAllocator('7f-80 r--p 0 08:01 7 /usr/lib/x/libc.so.6\n'), 'system');
});
