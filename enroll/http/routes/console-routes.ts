/**
 * The pages of the web console at `/console/`. They contain nothing secret: everything that they show comes
 * from the API, which asks for a sign-in.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import { pageHeaders } from '../page-headers.ts';
import type { RawRequest, RawResponse, RawRoute } from '../raw-route.ts';

/** The files that exist; the names of all other paths below `/console/` belong to the page's own router. */
const types: Readonly<Record<string, string>> = {
  'app.css': 'text/css; charset=utf-8',
  'app.js': 'text/javascript; charset=utf-8',
  'icon.svg': 'image/svg+xml',
  'index.html': 'text/html; charset=utf-8',
};

/** Scripts that a screen loads when it needs them. */
const partName = /^part-[A-Z0-9]{8}\.js$/;

/** In a checkout the build is below `dist/`; in the package this module is there itself. */
const candidates = ['../../../dist/console/', '../../../console/'];

interface Asset {
  readonly etag: string;
  readonly plain: Buffer;
  readonly br: Buffer;
  readonly gzip: Buffer;
}

/** @param folder of the built console (default: where `npm run build:console` puts it) */
export function consoleRoutes(folder = builtConsole()): RawRoute[] {
  const assets = new Map<string, Promise<Asset>>();
  const assetOf = (name: string): Promise<Asset> => {
    const known = assets.get(name);
    if (known !== undefined) return known;
    if (folder === undefined) {
      throw new FlotillaError('not-found', {
        detail: 'the console is not built: run "npm run build:console"',
      });
    }
    // A page of an earlier version may ask for a part that no longer exists.
    if (!existsSync(join(folder, name))) throw new FlotillaError('not-found', { detail: name });
    const reading = readAsset(folder, name);
    assets.set(name, reading);
    // A file that could not be read is tried again at the next request.
    reading.catch(() => assets.delete(name));
    return reading;
  };
  const redirect: RawRoute['handle'] = () =>
    Promise.resolve({
      status: 302,
      type: 'text/plain; charset=utf-8',
      headers: { location: '/console/' },
      body: '',
    });
  return [
    { method: 'GET', path: '/', access: 'anyone', handle: redirect },
    { method: 'GET', path: '/console', access: 'anyone', handle: redirect },
    {
      method: 'GET',
      path: '/console/*',
      access: 'anyone',
      handle: async (request) => {
        const name = fileOf(request.url);
        return respond(request, await assetOf(name), typeOf(name));
      },
    },
  ];
}

/** The file for a path; the page itself for each path without a file name, because its router knows them. */
function fileOf(url: string): string {
  const [path = ''] = url.slice('/console/'.length).split(/[?#]/, 1);
  if (Object.hasOwn(types, path) || partName.test(path)) return path;
  if (/^assets\/|\.(?:js|css|map|svg|png|ico)$/.test(path)) {
    throw new FlotillaError('not-found', { detail: path.slice(0, 200) });
  }
  return 'index.html';
}

function typeOf(name: string): string {
  return types[name] ?? 'text/javascript; charset=utf-8';
}

function respond({ headers }: RawRequest, asset: Asset, type: string): RawResponse {
  const common = { ...pageHeaders, etag: asset.etag, 'cache-control': 'no-cache' };
  if (headers['if-none-match'] === asset.etag) {
    return { status: 304, type, headers: common, body: '' };
  }
  const accepted = headers['accept-encoding'] ?? '';
  const encoding = (['br', 'gzip'] as const).find((one) => accepted.includes(one));
  return {
    type,
    headers: {
      ...common,
      vary: 'accept-encoding',
      ...(encoding === undefined ? {} : { 'content-encoding': encoding }),
    },
    body: encoding === undefined ? asset.plain : asset[encoding],
  };
}

async function readAsset(folder: string, name: string): Promise<Asset> {
  const file = join(folder, name);
  const [plain, br, gzip] = await Promise.all([
    readFile(file),
    readFile(`${file}.br`),
    readFile(`${file}.gz`),
  ]);
  const hash = createHash('sha256').update(plain).digest('base64url').slice(0, 22);
  return { etag: `"${hash}"`, plain, br, gzip };
}

function builtConsole(): string | undefined {
  return candidates
    .map((path) => fileURLToPath(new URL(path, import.meta.url)))
    .find((path) => existsSync(join(path, 'app.js')));
}
