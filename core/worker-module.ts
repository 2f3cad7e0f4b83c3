/**
 * Where the module of a worker thread is.
 *
 * @module
 */

/**
 * The address of a module beside another one. Its extension is that of the other one: `.ts` in a checkout, `.js` after
 * a build.
 *
 * @param path relative, without extension, as `./store-worker`
 * @param from `import.meta.url` of the module that starts the thread
 */
export function workerModule(path: string, from: string): URL {
  return new URL(`${path}${from.endsWith('.ts') ? '.ts' : '.js'}`, from);
}
