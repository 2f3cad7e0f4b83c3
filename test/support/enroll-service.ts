/**
 * An enrollment service in the test's own process, with helpers to call it.
 *
 * @module
 */
import type { KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { cp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { createCsr } from '../../certs/csr.ts';
import { generateKeySync, privateKeyPem, type KeyType } from '../../certs/key.ts';
import { systemClock, type Clock } from '../../core/clock.ts';
import { checkConfig, type Config, type ConfigInput } from '../../core/config/config.ts';
import { parseDeviceId } from '../../core/device-id.ts';
import { isFlotillaError } from '../../core/errors/flotilla-error.ts';
import {
  issuedSchema,
  tokenSchema,
  type Issued,
  type TokenAnswer,
} from '../../core/protocol/enrollment-api.ts';
import { callHttps, type HttpsResponse, type Call } from '../../core/protocol/https-client.ts';
import { silentLog, type Logger } from '../../core/log.ts';
import { identityFiles, stateFolder, type StateFolder } from '../../core/state-folder.ts';
import type { SimulationRunner } from '../../enroll/simulations/simulation-runner.ts';
import { tailAudit } from '../../enroll/audit/audit-reader.ts';
import { startEnroll, type EnrollService } from '../../enroll/enroll-service.ts';
import { initialiseState } from '../../enroll/bootstrap/state.ts';
import { tempFolder } from './temp-folder.ts';
import { until } from './until.ts';

export interface Credential {
  readonly cert: string;
  readonly key: string;
}

export interface TestDevice {
  readonly id: string;
  readonly key: KeyObject;
  readonly csr: string;
  readonly issued: Issued;
  readonly credential: Credential;
}

export interface TestService {
  readonly service: EnrollService;
  readonly config: Config;
  readonly state: StateFolder;
  readonly url: string;
  readonly ca: string;
  readonly admin: Credential;
  readonly broker: Credential;
  /** Any call, with any credential. */
  call(call: Omit<Call, 'url' | 'ca'> & { readonly path: string }): Promise<HttpsResponse>;
  /** A call of the administrator; returns status and parsed body. */
  readonly asAdmin: (method: Call['method'], path: string, body?: object) => Promise<Reply>;
  token(device: string, more?: object): Promise<TokenAnswer>;
  /** A device that is enrolled with a token. */
  device(id: string, keyType?: KeyType): Promise<TestDevice>;
  enroll(device: string, csr: string, token?: string): Promise<Reply>;
  audit(): Promise<{ action: string; actor: string; device?: string; detail?: object }[]>;
  /** Stops the service and starts it on the same state, with changes to the configuration. */
  restart(config?: ConfigInput, whileStopped?: () => Promise<void>): Promise<TestService>;
}

export interface Reply {
  readonly status: number;
  readonly headers: HttpsResponse['headers'];
  // Responses are compared with expected values; the schemas' own tests check their shapes.
  readonly body: Readonly<Record<string, unknown>>;
}

export interface ServiceOptions {
  readonly config?: ConfigInput;
  readonly clock?: Clock;
  readonly log?: Logger;
  readonly simulationRunner?: (state: StateFolder) => SimulationRunner;
}

/** Starts a service on a new state folder; it is closed with the test. */
export async function enrollService(
  t: Pick<ExecutionContext, 'teardown'>,
  options: ServiceOptions = {},
): Promise<TestService> {
  const root = join(tempFolder(t), 'state');
  await cp(await madeState(), root, { recursive: true, verbatimSymlinks: true });
  return startOn(t, stateFolder(root), options);
}

/** The same on a state folder of the test. */
export function enrollServiceOn(
  t: Pick<ExecutionContext, 'teardown'>,
  state: StateFolder,
  options: ServiceOptions = {},
): Promise<TestService> {
  return startOn(t, state, options);
}

let made: Promise<string> | undefined;

/**
 * A state folder that is created once for all tests of a process, because opening the CA's keys is slow on
 * purpose.
 */
function madeState(): Promise<string> {
  made ??= (async () => {
    const root = mkdtempSync(join(tmpdir(), 'flotilla-test-'));
    process.once('exit', () => rmSync(root, { recursive: true, force: true }));
    const state = stateFolder(root);
    await initialiseState(state, checkConfig({ enroll: { port: 0 } }), { log: silentLog, env: {} });
    return root;
  })();
  return made;
}

/** Creates a key and a CSR. */
export function csrOf(
  commonName: string,
  keyType: KeyType = 'p256',
): { key: KeyObject; pem: string; der: Buffer } {
  const key = generateKeySync(keyType);
  return { key, ...createCsr({ key, commonName }) };
}

export function replyOf(answer: HttpsResponse): Reply {
  const text = answer.body.toString('utf8');
  return {
    status: answer.status,
    headers: answer.headers,
    body: /[/+]json\b/.test(answer.headers['content-type'] ?? '')
      ? (JSON.parse(text) as Reply['body'])
      : { text },
  };
}

async function startOn(
  t: Pick<ExecutionContext, 'teardown'>,
  state: StateFolder,
  options: ServiceOptions,
): Promise<TestService> {
  const { clock = systemClock, log = silentLog } = options;
  const config = checkConfig({
    ...options.config,
    enroll: { port: 0, metricsPort: 0, ...options.config?.enroll },
  });
  const env = {};
  await initialiseState(state, config, { clock, log, env });
  const service = await startEnroll(config, {
    state,
    clock,
    log,
    env,
    ...(options.simulationRunner === undefined
      ? {}
      : { simulationRunner: options.simulationRunner(state) }),
  });
  t.teardown(service.close);
  const { url } = service.addresses.https;
  const credential = async (folder: string): Promise<Credential> => {
    const files = identityFiles(folder);
    return { cert: await readFile(files.chain, 'utf8'), key: await readFile(files.key, 'utf8') };
  };
  const ca = await readFile(identityFiles(state.admin).ca, 'utf8');
  const admin = await credential(state.admin);
  const call: TestService['call'] = ({ path, ...rest }) =>
    // The machine may be busy: only a service that hangs takes so long.
    callHttps({ timeoutMs: 120_000, ...rest, url: url + path, ca });
  const asAdmin: TestService['asAdmin'] = async (method, path, body) =>
    replyOf(await call({ method, path, ...admin, ...(body === undefined ? {} : { body }) }));
  const token: TestService['token'] = async (device, more = {}) =>
    tokenSchema.parse((await asAdmin('POST', '/v1/tokens', { device, ...more })).body);
  const enroll: TestService['enroll'] = async (device, csr, bearer) =>
    replyOf(
      await call({
        method: 'POST',
        path: '/v1/enroll',
        body: { device, csr },
        ...(bearer === undefined ? {} : { bearer }),
      }),
    );
  return {
    service,
    config,
    state,
    url,
    ca,
    admin,
    broker: await credential(state.broker.identity),
    call,
    asAdmin,
    token,
    enroll,
    async device(id, keyType) {
      const { key, pem } = csrOf(id, keyType);
      const made = await token(parseDeviceId(id));
      const issued = issuedSchema.parse((await enroll(id, pem, made.token)).body);
      return {
        id,
        key,
        csr: pem,
        issued,
        credential: { cert: issued.chain, key: privateKeyPem(key) },
      };
    },
    audit: () => tailAudit(state.enroll.audit, 1000),
    async restart(other = {}, whileStopped) {
      await service.close();
      await whileStopped?.();
      const again = { ...options, config: { ...options.config, ...other } };
      // A connection of another test may use its port for a moment.
      return until('the port is free', () =>
        startOn(t, state, again).catch((error: unknown) => {
          if (isFlotillaError(error, 'address-in-use')) return undefined;
          throw error;
        }),
      );
    },
  };
}
