/**
 * Builds the web console into `dist/console`: the script of the first page, the parts that are
 * loaded later, one style sheet, the page, and each of them compressed. It is plain JavaScript, because `npm ci` runs it with the Node.js of the machine.
 *
 * With `--if-possible` it does nothing when esbuild is not installed (`npm ci --omit=dev`) or when the
 * sources are not there (an installed package, which contains the built console).
 *
 * @module
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, gzipSync } from 'node:zlib';

const root = fileURLToPath(new URL('..', import.meta.url));
const source = join(root, 'console');
const target = join(root, 'dist', 'console');
const isOptional = process.argv.includes('--if-possible');

const esbuild = await import('esbuild').catch((error) => {
  if (isOptional) return undefined;
  throw error;
});
if (esbuild !== undefined && existsSync(join(source, 'main.tsx'))) {
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  await esbuild.build({
    entryPoints: [
      { in: join(source, 'main.tsx'), out: 'app' },
      { in: join(source, 'style', 'console.css'), out: 'app' },
    ],
    outdir: target,
    bundle: true,
    minify: true,
    format: 'esm',
    // What a screen imports when it needs it becomes a file of its own, named by its content.
    splitting: true,
    chunkNames: 'part-[hash]',
    target: 'es2022',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    legalComments: 'none',
    logLevel: 'warning',
  });
  for (const name of ['icon.svg', 'index.html']) {
    writeFileSync(join(target, name), readFileSync(join(source, 'pages', name)));
  }
  for (const name of readdirSync(target)) {
    const content = readFileSync(join(target, name));
    writeFileSync(join(target, `${name}.br`), brotliCompressSync(content));
    writeFileSync(join(target, `${name}.gz`), gzipSync(content));
  }
}
