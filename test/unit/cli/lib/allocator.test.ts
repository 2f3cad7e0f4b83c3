import test from 'ava';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  allocatorSetting,
  jemallocLibrary,
  preloadFor,
  withoutPreload,
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

test('the preload is added for this process, and removed for the programs that it starts', (t) => {
  t.is(preloadFor('system', {}), undefined);
  t.is(preloadFor('jemalloc', { LD_PRELOAD: '/opt/libtcmalloc.so' }), undefined, 'a choice stays');
  t.is(withoutPreload('/opt/libtcmalloc.so'), '/opt/libtcmalloc.so');
  t.is(withoutPreload('/usr/lib/libjemalloc.so.2'), '/usr/lib/libjemalloc.so.2', 'of the operator');
  t.is(withoutPreload('/usr/lib/libjemalloc.so.2:'), '');
  t.is(withoutPreload('/usr/lib/libjemalloc.so.2:/opt/a.so'), '/opt/a.so');
  const library = jemallocLibrary();
  t.is(
    preloadFor('auto', { LD_PRELOAD: '/opt/a.so' }),
    undefined,
    'an operator has preloaded a library',
  );
  const preload = preloadFor('jemalloc', { LD_PRELOAD: '/opt/a.so' });
  t.is(preload, library === undefined ? undefined : `${library}:/opt/a.so`);
  t.is(jemallocLibrary('darwin'), undefined);
});

test('the allocator is recognized by the libraries of the process', (t) => {
  t.is(loadedAllocator('7f-80 r--p 0 08:01 7 /usr/lib/x/libjemalloc.so.2\n'), 'jemalloc');
  t.is(loadedAllocator('7f-80 r--p 0 08:01 7 /opt/libtcmalloc_minimal.so.4\n'), 'tcmalloc');
  t.is(loadedAllocator('7f-80 r--p 0 08:01 7 /usr/lib/x/libc.so.6\n'), 'system');
});
