/**
 * Writes core/protocol/api-client.ts: starts an enrollment service on a temporary state folder, asks it for
 * its OpenAPI document, and generates the client. `npm run docs` runs it.
 *
 * @module
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { resolveConfig } from 'prettier';
import { checkConfig } from '../core/config/config.ts';
import { silentLog } from '../core/log.ts';
import { callHttps } from '../core/protocol/https-client.ts';
import { identityFiles, stateFolder } from '../core/state-folder.ts';
import { initialiseState } from '../enroll/bootstrap/state.ts';
import { startEnroll } from '../enroll/enroll-service.ts';
import { clientSource, type OpenApiDocument } from './api-client-source.ts';

const path = 'core/protocol/api-client.ts';
const folder = await mkdtemp(join(tmpdir(), 'flotilla-api-'));
try {
  const state = stateFolder(folder);
  const config = checkConfig({ enroll: { port: 0, metricsPort: 0 } });
  const deps = { log: silentLog, env: {} };
  await initialiseState(state, config, deps);
  const service = await startEnroll(config, { state, ...deps });
  const ca = await readFile(identityFiles(state.admin).ca, 'utf8');
  const url = `${service.addresses.https.url}/v1/openapi.json`;
  const { body } = await callHttps({ method: 'GET', url, ca });
  await service.close();
  // The seam to JSON: our own service made it.
  const document = JSON.parse(body.toString()) as OpenApiDocument;
  await writeFile(path, await clientSource(document, { ...(await resolveConfig(path)) }));
} finally {
  await rm(folder, { recursive: true, force: true });
}
