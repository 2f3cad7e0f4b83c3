import test from 'ava';
import { readFile } from 'node:fs/promises';
import { resolveConfig } from 'prettier';
import { operations } from '../../enroll/http/operations.ts';
import { requestExamples } from '../../enroll/http/operation-examples.ts';
import { clientSource, type OpenApiDocument } from '../../tools/api-client-source.ts';
import { enrollService } from '../support/enroll-service.ts';

interface Described {
  readonly operationId?: string;
  readonly tags?: readonly string[];
  readonly 'x-role'?: string;
}

test('every operation has a name and a group, and every name an operation', async (t) => {
  const service = await enrollService(t);
  const answer = await service.call({ method: 'GET', path: '/v1/openapi.json' });
  const { paths } = JSON.parse(answer.body.toString()) as {
    paths: Record<string, Record<string, Described>>;
  };
  const found = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => {
      const key = `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`;
      t.is(typeof operation.operationId, 'string', key);
      t.is(operation.tags?.length, 1, key);
      return { key, operationId: operation.operationId };
    }),
  );
  t.deepEqual(found.map(({ key }) => key).sort(), Object.keys(operations).sort());
  t.is(new Set(found.map(({ operationId }) => operationId)).size, found.length);
});

interface Content {
  readonly content?: Readonly<Record<string, { examples?: { usual?: { value: unknown } } }>>;
}

test('each call with a JSON body has an example, and the service takes it as valid', async (t) => {
  const service = await enrollService(t);
  const answer = await service.call({ method: 'GET', path: '/v1/openapi.json' });
  const { paths } = JSON.parse(answer.body.toString()) as {
    paths: Record<
      string,
      Record<string, { requestBody?: Content; responses: Record<string, Content> }>
    >;
  };
  const withBody: string[] = [];
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, { requestBody, responses }] of Object.entries(methods)) {
      const key = `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`;
      for (const [status, response] of Object.entries(responses)) {
        const json = response.content?.['application/json'];
        if (status !== 'default' && json !== undefined && !key.includes('import')) {
          t.not(json.examples?.usual?.value, undefined, key);
        }
      }
      const json = requestBody?.content?.['application/json'];
      if (json === undefined) continue;
      withBody.push(key);
      const example = json.examples?.usual?.value;
      t.not(example, undefined, key);
      const filled = path
        .replace('{id}', key.includes('/requests/') ? '0'.repeat(32) : 'none')
        .replaceAll(/\{\w+\}/g, 'none');
      // Brokers' and devices' calls need their own certificates.
      const credential =
        path.startsWith('/v1/feed') || path.includes('relay') ? service.broker : service.admin;
      const reply = await service.call({
        method: method.toUpperCase() as 'POST',
        path: filled,
        ...credential,
        body: example as object,
        ...(method === 'put' ? { headers: { 'if-match': '*' } } : {}),
      });
      const text = reply.body.toString();
      t.false(text.includes('"detail":"body'), `${key}: ${text}`);
      t.true(reply.status < 500 || text.includes('broker-'), `${key}: ${text}`);
    }
  }
  t.deepEqual(withBody.sort(), Object.keys(requestExamples).sort());
});

test('the generated client is up to date: run npm run docs', async (t) => {
  const service = await enrollService(t);
  const answer = await service.call({ method: 'GET', path: '/v1/openapi.json' });
  const path = 'core/protocol/api-client.ts';
  const document = JSON.parse(answer.body.toString()) as OpenApiDocument;
  t.is(
    await readFile(path, 'utf8'),
    await clientSource(document, { ...(await resolveConfig(path)) }),
  );
});
