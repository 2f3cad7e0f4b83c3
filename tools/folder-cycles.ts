/**
 * Finds folders that import each other, directly or through others. The rule of dependency-cruiser
 * with the same name does not see a cycle between a folder and a folder inside it.
 *
 * @module
 */
import { posix } from 'node:path';

/** One module with the modules that it imports, as paths from the root of the repository. */
export interface ModuleImports {
  readonly source: string;
  readonly imports: readonly string[];
}

/** Groups of folders that import each other; each group is sorted. */
export function folderCycles(modules: readonly ModuleImports[]): string[][] {
  const graph = new Map<string, Set<string>>();
  for (const { source, imports } of modules) {
    const from = posix.dirname(source);
    for (const target of imports) {
      const to = posix.dirname(target);
      if (to === from) continue;
      graph.set(from, (graph.get(from) ?? new Set()).add(to));
    }
  }
  const reachable = new Map<string, ReadonlySet<string>>();
  for (const folder of graph.keys()) reachable.set(folder, reachableFrom(folder, graph));
  const seen = new Set<string>();
  const cycles: string[][] = [];
  for (const folder of [...graph.keys()].sort()) {
    if (seen.has(folder) || reachable.get(folder)?.has(folder) !== true) continue;
    const group = [...graph.keys()]
      .filter(
        (other) =>
          reachable.get(folder)?.has(other) === true && reachable.get(other)?.has(folder) === true,
      )
      .sort();
    for (const one of group) seen.add(one);
    cycles.push(group);
  }
  return cycles;
}

function reachableFrom(
  folder: string,
  graph: ReadonlyMap<string, ReadonlySet<string>>,
): Set<string> {
  const found = new Set<string>();
  const waiting = [...(graph.get(folder) ?? [])];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (found.has(next)) continue;
    found.add(next);
    waiting.push(...(graph.get(next) ?? []));
  }
  return found;
}
