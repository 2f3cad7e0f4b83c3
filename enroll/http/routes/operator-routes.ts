/**
 * Calls about operators, API keys, sign-in links and the caller's own session.
 *
 * @module
 */
import { z } from 'zod';
import { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import {
  keyCreatedSchema,
  keyRequestSchema,
  keysSchema,
  linkRequestSchema,
  linkSchema,
  operatorRequestSchema,
  operatorSchema,
  operatorsSchema,
  sessionInfoSchema,
  signInOptionsSchema,
} from '../../../core/protocol/operator-api.ts';
import { includesRole } from '../../../core/protocol/operator-role.ts';
import type { OperatorCaller } from '../../operators/caller.ts';
import type { AdministratorWay, LockoutGuard } from '../../operators/lockout-guard.ts';
import type { IdentityProvider } from '../../operators/identity-provider.ts';
import type { OperatorDirectory } from '../../operators/operator-directory.ts';
import type { SignIn } from '../../operators/sign-in.ts';
import type { ApiKeyRecord, OperatorRecord } from '../../registry/records.ts';
import { iso } from '../device-view.ts';
import { operationTags } from '../operations.ts';
import { route, type HttpRoute } from '../route.ts';
import { expiredSessionCookieHeader } from '../session-cookie.ts';
import { ownIdentityQuery } from './device-routes.ts';

export interface OperatorRouteDeps {
  readonly lockout: LockoutGuard;
  readonly operators: OperatorDirectory;
  readonly provider: IdentityProvider | undefined;
  readonly signIn: SignIn;
  /** Where browsers reach the service. */
  readonly url: () => string;
}

const keyTtlDefaultSeconds = 90 * 86_400;

export function operatorRoutes(deps: OperatorRouteDeps): HttpRoute[] {
  return [...sessionRoutes(deps), ...directoryRoutes(deps), ...keyRoutes(deps)];
}

function sessionRoutes({ provider, signIn, url }: OperatorRouteDeps): HttpRoute[] {
  return [
    route({
      method: 'GET',
      path: '/v1/sign-in',
      summary: 'The ways to sign in',
      access: 'anyone',
      response: signInOptionsSchema,
      handle: () =>
        Promise.resolve({ oidc: provider === undefined ? null : { label: provider.label } }),
    }),
    route({
      method: 'GET',
      path: '/v1/session',
      summary: 'Who calls, with which role, until when',
      access: 'viewer',
      response: sessionInfoSchema,
      handle({ operator }) {
        const { name, role, via, csrf, scopes, expiresAtMs } = known(operator);
        return Promise.resolve({
          operator: name,
          role,
          via,
          csrf: csrf ?? null,
          scopes: scopes === undefined ? null : [...scopes],
          expiresAt: expiresAtMs === undefined ? null : iso(expiresAtMs),
        });
      },
    }),
    route({
      method: 'DELETE',
      path: '/v1/session',
      summary: 'Signs the browser out',
      access: 'viewer',
      status: 204,
      async handle({ operator, header }) {
        await signIn.end(known(operator));
        header('set-cookie', expiredSessionCookieHeader());
        return undefined;
      },
    }),
    route({
      method: 'POST',
      path: '/v1/sign-in/links',
      summary: 'A link that signs a browser in once',
      access: 'admin',
      status: 201,
      body: linkRequestSchema,
      response: linkSchema,
      async handle({ body, operator }) {
        const caller = known(operator);
        const name = body.operator ?? caller.name;
        const ttlMs = body.ttlSeconds === undefined ? undefined : body.ttlSeconds * 1000;
        const { token, expiresAtMs } = await signIn.createLink(name, ttlMs, caller);
        return {
          url: `${url()}/v1/sign-in/link?token=${token}`,
          operator: name,
          expiresAt: iso(expiresAtMs),
        };
      },
    }),
  ];
}

function directoryRoutes({ lockout, operators }: OperatorRouteDeps): HttpRoute[] {
  const params = z.strictObject({ name: operatorSchema.shape.name });
  const view = (record: OperatorRecord, keys: number): z.infer<typeof operatorSchema> => ({
    name: record.name,
    role: record.role,
    disabled: record.disabled,
    createdAt: iso(record.createdAtMs),
    createdBy: record.createdBy,
    keys,
  });
  return [
    route({
      method: 'GET',
      path: '/v1/operators',
      summary: 'The operators',
      access: 'admin',
      response: operatorsSchema,
      async handle() {
        const counts = new Map<string, number>();
        for (const { operator } of await operators.keysOf(undefined)) {
          counts.set(operator, (counts.get(operator) ?? 0) + 1);
        }
        const rows = await operators.list();
        return { operators: rows.map((row) => view(row, counts.get(row.name) ?? 0)) };
      },
    }),
    route({
      method: 'PUT',
      path: '/v1/operators/:name',
      summary: 'Creates an operator, or changes its role',
      access: 'admin',
      params,
      query: ownIdentityQuery,
      body: operatorRequestSchema,
      response: operatorSchema,
      async handle({ params: { name }, query, body, actor, operator }) {
        const restrains = body.disabled || body.role !== 'admin';
        const change = { caller: operator, names: restrains ? [name] : [], ...query };
        const row = await lockout.run(change, () => operators.put(name, body, actor));
        return view(row, (await operators.keysOf(name)).length);
      },
    }),
    route({
      method: 'DELETE',
      path: '/v1/operators/:name',
      summary: 'Deletes an operator with its keys and sessions',
      access: 'admin',
      status: 204,
      params,
      query: ownIdentityQuery,
      async handle({ params: { name }, query, actor, operator }) {
        // A certificate of the same name remains valid.
        const ends = (way: AdministratorWay): boolean => way.name === name && way.via === 'key';
        const change = { caller: operator, names: [name], ends, ...query };
        await lockout.run(change, () => operators.delete(name, actor));
        return undefined;
      },
    }),
  ];
}

function keyRoutes({ lockout, operators }: OperatorRouteDeps): HttpRoute[] {
  return [
    route({
      method: 'GET',
      path: '/v1/keys',
      summary: 'API keys: of the caller, or of all operators for an administrator',
      access: 'viewer',
      response: keysSchema,
      async handle({ operator }) {
        const { name, role } = known(operator);
        const keys = await operators.keysOf(role === 'admin' ? undefined : name);
        return { keys: keys.map(keyView) };
      },
    }),
    route({
      method: 'POST',
      path: '/v1/keys',
      summary: 'An API key; it is shown this once',
      access: 'viewer',
      status: 201,
      body: keyRequestSchema,
      response: keyCreatedSchema,
      async handle({ body, operator }) {
        const caller = known(operator);
        const name = body.operator ?? caller.name;
        // A key that makes keys could outlive its own end and its own limits.
        if (caller.via === 'key') {
          throw new FlotillaError('role-missing', { detail: 'an API key cannot create API keys' });
        }
        if (name !== caller.name && caller.role !== 'admin') {
          throw new FlotillaError('role-missing', { detail: 'keys of others need admin' });
        }
        if (body.role !== undefined && !includesRole(caller.role, body.role)) {
          throw new FlotillaError('role-missing', { detail: `${caller.name} is ${caller.role}` });
        }
        for (const scope of body.scopes ?? []) {
          if (!operationTags.some((tag) => tag === scope)) {
            throw new FlotillaError('request-invalid', {
              detail: `body.scopes: any of ${operationTags.join(', ')}`,
            });
          }
        }
        const { key, record } = await operators.createKey(
          {
            operator: name,
            name: body.name,
            role: body.role,
            scopes: body.scopes,
            ttlMs: (body.ttlSeconds ?? keyTtlDefaultSeconds) * 1000,
          },
          caller,
        );
        return { key, ...keyView(record) };
      },
    }),
    route({
      method: 'DELETE',
      path: '/v1/keys/:id',
      summary: 'Deletes an API key',
      access: 'viewer',
      status: 204,
      params: z.strictObject({ id: z.string().regex(/^[0-9a-f]{16}$/) }),
      async handle({ params, operator, actor }) {
        const { name, role } = known(operator);
        const owner = role === 'admin' ? undefined : name;
        const ends = ({ key }: AdministratorWay): boolean => key === params.id;
        const change = { caller: operator, names: [], ends };
        await lockout.run(change, () => operators.deleteKey(params.id, owner, actor));
        return undefined;
      },
    }),
  ];
}

function keyView(record: ApiKeyRecord): z.infer<typeof keysSchema>['keys'][number] {
  const { id, name, operator, role, scopes, createdAtMs, expiresAtMs } = record;
  return {
    id,
    name,
    operator,
    role,
    scopes: scopes === null ? null : [...scopes],
    createdAt: iso(createdAtMs),
    expiresAt: iso(expiresAtMs),
  };
}

function known(operator: OperatorCaller | undefined): OperatorCaller {
  if (operator === undefined) throw new FlotillaError('sign-in-required');
  return operator;
}
