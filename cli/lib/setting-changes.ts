/**
 * What a reload finds in flotilla.yaml. The services read settings at their start only, so a changed one is reported.
 *
 * @module
 */
import { loadConfig, type Config } from '../../core/config/config.ts';
import type { Logger } from '../../core/log.ts';

/**
 * Remembers the file as it is now.
 *
 * @returns for each reload: reads the file again, and logs what needs a restart, or why the file is not valid
 */
export async function watchSettings(file: string, log: Logger): Promise<() => Promise<void>> {
  const before = await loadConfig({ file });
  return async () => {
    try {
      const settings = changedSettings(before, await loadConfig({ file }));
      if (settings.length === 0) return;
      log.warn({ settings }, 'changed settings need a restart');
    } catch (error) {
      log.error({ err: error }, 'the changed settings are not valid; a restart would fail');
    }
  };
}

/** The names of the settings that differ, like `enroll.tokenTtl`. */
export function changedSettings(before: Config, after: Config): readonly string[] {
  const old = leavesOf(before);
  const fresh = leavesOf(after);
  const names = new Set([...old.keys(), ...fresh.keys()]);
  return [...names].filter((name) => old.get(name) !== fresh.get(name)).sort();
}

function leavesOf(
  value: unknown,
  path = '',
  found = new Map<string, string>(),
): Map<string, string> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    for (const [key, inner] of Object.entries(value)) {
      leavesOf(inner, path === '' ? key : `${path}.${key}`, found);
    }
  } else if (value !== undefined) {
    found.set(path, JSON.stringify(value));
  }
  return found;
}
