import test from 'ava';
import { operations } from '../../enroll/http/operations.ts';
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
