/**
 * The memory allocator of a broker. jemalloc must be loaded before the C library, so the launcher (cli/flotilla.mjs)
 * starts the process again with LD_PRELOAD, before anything else is imported: this file imports only Node.js.
 *
 * @module
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

type Env = Readonly<Record<string, string | undefined>>;

const choices = ['auto', 'system', 'jemalloc'] as const;
type Choice = (typeof choices)[number];

/** Where Linux distributions install the library. */
const folders = [
  ...['x86_64', 'aarch64', 'arm'].map((machine) => `/usr/lib/${machine}-linux-gnu`),
  '/usr/lib/arm-linux-gnueabihf',
  '/usr/lib64',
  '/usr/lib',
  '/usr/local/lib',
];

/**
 * The library of jemalloc, if this machine has one that works.
 *
 * A library for another machine, C library or page size must not break a start: a small program is run with it first.
 */
export function jemallocLibrary(platform: string = process.platform): string | undefined {
  if (platform !== 'linux') return undefined;
  return folders
    .map((folder) => join(folder, 'libjemalloc.so.2'))
    .find((path) => existsSync(path) && isUsable(path));
}

function isUsable(path: string): boolean {
  const env = { LD_PRELOAD: path };
  const { status, stderr } = spawnSync('/bin/true', { env, timeout: 10_000, encoding: 'utf8' });
  return status === 0 && stderr === '';
}

/**
 * The setting `memory.allocator` of a command line, read without the parser of the configuration, which takes longer
 * to load than all the rest. Whatever it misses is found by {@link ./allocator-check.ts}.
 */
export function allocatorSetting(args: readonly string[], env: Env): Choice {
  const variable = env['FLOTILLA_MEMORY__ALLOCATOR'];
  if (variable !== undefined && variable !== '') return choiceOf(variable);
  const at = args.indexOf('--state');
  const option =
    at === -1 ? args.find((one) => one.startsWith('--state='))?.slice(8) : args[at + 1];
  const state = option ?? env['FLOTILLA_STATE'] ?? '.flotilla';
  try {
    const text = readFileSync(join(state, 'flotilla.yaml'), 'utf8').replaceAll(/(^|\s)#.*$/gm, '');
    return choiceOf(/\ballocator["']?\s*:\s*["']?(\w+)/.exec(text)?.[1]);
  } catch {
    return 'auto';
  }
}

function choiceOf(text: string | undefined): Choice {
  return choices.find((one) => one === text) ?? 'auto';
}

/**
 * Pages that are free go back to the kernel after this time also in threads that have nothing to do, and while nothing
 * is allocated. The part before the comma marks the value for {@link withoutAllocator}.
 */
const ownMallocConf = 'background_thread:true,lg_extent_max_active_fit:1';

/**
 * The variables that a process with this setting needs; none: as it is. The colon at the end of our part of LD_PRELOAD
 * marks it for {@link withoutAllocator}; the loader skips empty names.
 */
export function allocatorVariables(choice: Choice, env: Env): Readonly<Record<string, string>> {
  const before = env['LD_PRELOAD'] ?? '';
  if (choice === 'system' || before.includes('malloc')) return {};
  // A library that an operator has preloaded may not work beside another allocator: libfaketime recurses.
  if (choice === 'auto' && before !== '') return {};
  const library = jemallocLibrary();
  if (library === undefined) return {};
  const preload = { LD_PRELOAD: `${library}:${before}` };
  return (env['MALLOC_CONF'] ?? '') === '' ? { ...preload, MALLOC_CONF: ownMallocConf } : preload;
}

/** The environment without what {@link allocatorVariables} has added, for the programs that this process starts. */
export function withoutAllocator(env: Env): Env {
  const { LD_PRELOAD: preload = '', MALLOC_CONF: conf, ...rest } = env;
  const before = preload.replace(/^[^:]*\/libjemalloc\.so\.2:(?!.*malloc)/, '');
  return {
    ...rest,
    ...(before === '' ? {} : { LD_PRELOAD: before }),
    ...(conf === undefined || conf === ownMallocConf ? {} : { MALLOC_CONF: conf }),
  };
}
