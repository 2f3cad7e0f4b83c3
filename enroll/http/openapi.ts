/**
 * The OpenAPI document (3.1), generated from the schemas that validate the requests.
 *
 * @module
 */
import { z } from 'zod';
import {
  importedSchema,
  importRowSchema,
  deviceSchema,
  problemSchema,
} from '../../core/protocol/enrollment-api.ts';
import { eventTypes } from '../../core/protocol/operator-api.ts';
import { feedLineSchema } from '../../core/protocol/feed.ts';
import { sessionCookie } from './session-cookie.ts';
import { problemMediaType } from './problem.ts';
import { exampleOf, requestExamples } from './operation-examples.ts';
import { operationOf } from './operations.ts';
import { roleOf, type Access, type HttpRoute } from './route.ts';

type Json = Readonly<Record<string, unknown>>;

/** Generates the document. */
export function openApi(routes: readonly HttpRoute[], version: string): Json {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const one of routes) {
    const path = one.path.replaceAll(/:([a-z]+)/gi, '{$1}');
    paths[path] = { ...paths[path], [one.method.toLowerCase()]: operation(one) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Flotilla enrollment service',
      version,
      description:
        'The JSON API. Beside it: EST (RFC 7030) under /.well-known/est/, CMP (RFC 9483) at /.well-known/cmp, CRLs at /crl, OCSP at /ocsp. Errors are problem documents (RFC 9457) with a stable `code`.',
    },
    paths: { ...paths, ...streams() },
    components: {
      securitySchemes: {
        certificate: { type: 'mutualTLS', description: 'A certificate that this service issued' },
        key: { type: 'http', scheme: 'bearer', description: 'An API key of an operator' },
        session: {
          type: 'apiKey',
          in: 'cookie',
          name: sessionCookie,
          description:
            'A browser that is signed in; calls that change something also send X-CSRF-Token',
        },
        token: { type: 'http', scheme: 'bearer', description: 'An enrollment token' },
      },
      schemas: { Problem: schemaOf(problemSchema, 'output') },
    },
  };
}

function operation(one: HttpRoute): Json {
  const { body, response, status, summary, access } = one;
  return {
    ...namesOf(one.method, one.path),
    summary,
    ...securityOf(access, one.path),
    ...parametersOf(one),
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            required: !body.safeParse(undefined).success,
            content: {
              'application/json': {
                schema: schemaOf(body, 'input'),
                ...examplesOf(requestExamples[`${one.method} ${one.path}`]),
              },
            },
          },
        }),
    responses: {
      [String(status)]: {
        description: 'Done',
        ...(response === undefined
          ? {}
          : { content: { 'application/json': responseContent(response) } }),
      },
      default: problem,
    },
  };
}

const problem = {
  description: 'Refused; nothing has changed',
  content: { [problemMediaType]: { schema: { $ref: '#/components/schemas/Problem' } } },
};

/** Calls whose response or body is not a JSON document. */
function streams(): Json {
  const lines = 'application/x-ndjson';
  return {
    '/v1/feed': {
      get: {
        ...namesOf('GET', '/v1/feed'),
        summary:
          'Follows the directory (for brokers): one line per change; the response does not end',
        ...securityOf('broker', ''),
        responses: {
          200: {
            description: 'JSON lines',
            content: { [lines]: { schema: schemaOf(feedLineSchema, 'output') } },
          },
          default: problem,
        },
      },
    },
    '/v1/events': {
      get: {
        ...namesOf('GET', '/v1/events'),
        summary: 'Follows events (Server-Sent Events); the response does not end',
        ...securityOf('viewer', ''),
        parameters: [
          queryText('types', `Any of ${eventTypes.join(', ')}, separated by commas (default: all)`),
          queryText('device', 'Only events about this device'),
          queryText('lastEventId', 'As the header Last-Event-ID, for clients that cannot set it'),
        ],
        responses: {
          200: {
            description: 'Events',
            content: { 'text/event-stream': { schema: { type: 'string' } } },
          },
          default: problem,
        },
      },
    },
    '/v1/messages/tail': {
      get: {
        ...namesOf('GET', '/v1/messages/tail'),
        summary:
          'Messages as they are published (Server-Sent Events); ends after a time or a number',
        ...securityOf('viewer', ''),
        parameters: [
          { ...queryText('filter', 'A topic filter'), required: true },
          queryText('seconds', 'When it ends (default: 300)'),
          queryText('max', 'After how many messages it ends (default: 1000)'),
          queryText('broker', 'Only messages at this broker (default: all)'),
        ],
        responses: {
          200: {
            description: 'Events `messages`, `end`',
            content: { 'text/event-stream': { schema: { type: 'string' } } },
          },
          default: problem,
        },
      },
    },
    '/v1/devices/import': {
      post: {
        ...namesOf('POST', '/v1/devices/import'),
        summary: 'Imports many devices, and tokens that were created elsewhere',
        ...securityOf('operator', ''),
        requestBody: {
          required: true,
          content: {
            [lines]: { schema: schemaOf(importRowSchema, 'input') },
            'text/csv': { schema: { type: 'string' } },
          },
        },
        responses: {
          200: {
            description: 'The rows that were imported and refused',
            content: { 'application/json': { schema: schemaOf(importedSchema, 'output') } },
          },
          default: problem,
        },
      },
    },
    '/v1/devices/export': {
      get: {
        ...namesOf('GET', '/v1/devices/export'),
        summary: 'Exports identities, one per line; the filters are those of the list',
        ...securityOf('viewer', ''),
        parameters: [
          queryText('format', 'jsonl (default), or csv: a table for spreadsheets'),
          queryText('search', 'As in the list; prefix, group, role, kind, status, … as well'),
        ],
        responses: {
          200: {
            description: 'JSON lines',
            content: { [lines]: { schema: schemaOf(deviceSchema, 'output') } },
          },
          default: problem,
        },
      },
    },
  };
}

function queryText(name: string, description: string): Json {
  return { name, in: 'query', required: false, description, schema: { type: 'string' } };
}

function securityOf(access: Access, path: string): Json {
  if (access !== 'anyone') {
    const role = roleOf(access);
    if (role !== undefined) {
      return {
        security: [{ certificate: [] }, { key: [] }, { session: [] }],
        'x-role': role,
      };
    }
    return {
      security: [{ certificate: [] }],
      ...(access === 'broker' ? { 'x-role': access } : {}),
    };
  }
  return path === '/v1/enroll' ? { security: [{ token: [] }, { certificate: [] }, {}] } : {};
}

function responseContent(response: z.ZodType): Json {
  const schema = schemaOf(response, 'output');
  return { schema, ...examplesOf(exampleOf(schema)) };
}

function examplesOf(value: unknown): Json {
  return value === undefined ? {} : { examples: { usual: { value } } };
}

function namesOf(method: string, path: string): Json {
  const operation = operationOf(method, path);
  return operation === undefined
    ? {}
    : { operationId: operation.operationId, tags: [operation.tag] };
}

function parametersOf({ ifMatch, params, query }: HttpRoute): Json {
  const declared = (
    [
      ['path', params],
      ['query', query],
    ] as const
  ).flatMap(([where, schema]) => {
    if (schema === undefined) return [];
    const { properties = {}, required = [] } = schemaOf(schema, 'input') as {
      properties?: Readonly<Record<string, unknown>>;
      required?: readonly string[];
    };
    return Object.entries(properties).map(([name, value]) => ({
      name,
      in: where,
      required: where === 'path' || required.includes(name),
      schema: value,
    }));
  });
  const parameters = [...declared, ...(ifMatch === undefined ? [] : [ifMatchHeader(ifMatch)])];
  return parameters.length === 0 ? {} : { parameters };
}

function ifMatchHeader(need: 'optional' | 'required'): Json {
  return {
    name: 'If-Match',
    in: 'header',
    required: need === 'required',
    description:
      'The ETag of the version that was read, or *. Another version is refused with 412.',
    schema: { type: 'string' },
  };
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const json = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    override({ zodSchema, jsonSchema }) {
      // The only custom type of the API is a device id.
      if (zodSchema._zod.def.type === 'custom') {
        jsonSchema.type = 'string';
        jsonSchema.pattern = '^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$';
      }
    },
  });
  // OpenAPI 3.1 declares the JSON Schema dialect once for the whole document.
  return Object.fromEntries(Object.entries(json).filter(([name]) => name !== '$schema'));
}
