/**
 * Builds `dist/` for the npm package: JavaScript and declarations without tests, and the web console.
 *
 * The compiler rewrites `.ts` to `.js` in the imports of JavaScript files only; in declarations this
 * tool does it, because a TypeScript program that uses the package has no `.ts` files to resolve.
 *
 * @module
 */
import { execFileSync } from 'node:child_process';

import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

rmSync('dist', { recursive: true, force: true });
const compiler = fileURLToPath(new URL('../node_modules/typescript7/bin/tsc', import.meta.url));
execFileSync(process.execPath, [compiler, '-p', 'tsconfig.build.json'], { stdio: 'inherit' });

const relativeImport = /((?:from|import\()\s*['"]\.{1,2}\/[^'"]+)\.ts(['"])/g;
for (const entry of readdirSync('dist', { recursive: true, encoding: 'utf8' })) {
  if (!entry.endsWith('.d.ts')) continue;
  const path = join('dist', entry);
  writeFileSync(path, readFileSync(path, 'utf8').replaceAll(relativeImport, '$1.js$2'));
}
execFileSync(process.execPath, ['tools/build-console.mjs'], { stdio: 'inherit' });
