/**
 * Generates the typed client of the JSON API from its OpenAPI document.
 *
 * @module
 */
import { format } from 'prettier';

interface Schema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
}

interface Content {
  readonly content?: Readonly<Record<string, { readonly schema: Schema }>>;
}

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query';
  readonly required: boolean;
  readonly schema: Schema;
}

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly 'x-role'?: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: Content & { readonly required: boolean };
  readonly responses: Readonly<Record<string, Content>>;
}

export interface OpenApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

/** Longer lists of values are not part of the types of query parameters. */
const choicesMax = 20;

const head = `/**
 * The typed client of the JSON API. Generated from /v1/openapi.json by \`npm run docs\`: do not edit.
 *
 * It has no dependency, so that browsers can use it as well; the transport makes the calls.
 *
 * @module
 */

/** One call. */
export interface ApiCall {
  /** The operationId, which is also the name of the method below. */
  readonly operation: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With its query. */
  readonly path: string;
  readonly body?: object | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** Makes a call and gives the parsed body; rejects when the response is a problem document. */
export type ApiTransport = (call: ApiCall) => Promise<unknown>;

/** What each call takes beside its own options. */
interface CommonOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Ends the call early. */
  readonly signal?: AbortSignal;
}

type QueryValue = string | number | boolean | readonly string[] | undefined;

function sent({ headers, signal }: CommonOptions): Pick<ApiCall, 'headers' | 'signal'> {
  return {
    ...(headers === undefined ? {} : { headers }),
    ...(signal === undefined ? {} : { signal }),
  };
}

function pathOf(path: string, query: Readonly<Record<string, QueryValue>> | undefined): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined) parameters.append(name, String(one));
    }
  }
  const text = parameters.toString();
  return text === '' ? path : path + '?' + text;
}
`;

/** The source text, formatted. */
export async function clientSource(
  document: OpenApiDocument,
  style: Readonly<Record<string, unknown>>,
): Promise<string> {
  const types: string[] = [];
  const methods: string[] = [];
  for (const [path, byMethod] of Object.entries(document.paths).sort()) {
    for (const [method, operation] of Object.entries(byMethod)) {
      // Brokers have their own client.
      if (!isJson(operation) || operation['x-role'] === 'broker') continue;
      const made = methodSource(path, method.toUpperCase(), operation);
      types.push(...made.types);
      methods.push(made.method);
    }
  }
  const text = `${head}\n${types.join('\n')}\n
/** Each operation as a method. */
export class ApiClient {
  readonly #call: ApiTransport;

  constructor(transport: ApiTransport) {
    this.#call = transport;
  }

  ${methods.join('\n\n')}
}
`;
  return format(text, { ...style, parser: 'typescript' });
}

function methodSource(
  path: string,
  method: string,
  operation: Operation,
): { types: string[]; method: string } {
  const { operationId, summary, parameters = [], requestBody } = operation;
  const name = operationId.charAt(0).toUpperCase() + operationId.slice(1);
  const inPath = parameters.filter((one) => one.in === 'path');
  const inQuery = parameters.filter((one) => one.in === 'query');
  const bodySchema = jsonOf(requestBody);
  const success = Object.entries(operation.responses).find(([status]) => status.startsWith('2'));
  const responseSchema = jsonOf(success?.[1]);
  const types: string[] = [];
  if (responseSchema !== undefined) {
    types.push(`export type ${name}Response = ${typeOf(responseSchema)};`);
  }
  const fields = inPath.map((one) => `readonly ${one.name}: string;`);
  if (inQuery.length > 0) {
    const members = inQuery.map(
      (one) =>
        `readonly ${property(one.name)}${one.required ? '' : '?'}: ${queryTypeOf(one.schema)}${one.required ? '' : ' | undefined'};`,
    );
    const optional = inQuery.every((one) => !one.required);
    fields.push(`readonly query${optional ? '?' : ''}: { ${members.join(' ')} };`);
  }
  if (bodySchema !== undefined) {
    types.push(`export type ${name}Request = ${typeOf(bodySchema)};`);
    fields.push(`readonly body${requestBody?.required === true ? '' : '?'}: ${name}Request;`);
  }
  const isOptional = fields.every((field) => field.includes('?:'));
  const options = `options: CommonOptions & { ${fields.join(' ')} }${isOptional ? ' = {}' : ''}`;
  const filled = path.replaceAll(
    /\{(\w+)\}/g,
    (_all, one: string) => `\${encodeURIComponent(options.${one})}`,
  );
  const result = responseSchema === undefined ? 'void' : `${name}Response`;
  const call = [
    `operation: '${operationId}'`,
    `method: '${method}'`,
    `path: pathOf(\`${filled}\`, ${inQuery.length > 0 ? 'options.query' : 'undefined'})`,
    ...(bodySchema === undefined ? [] : ['body: options.body']),
    '...sent(options)',
  ];
  const role = operation['x-role'] === undefined ? '' : ` Needs: ${operation['x-role']}.`;
  return {
    types,
    method: `/** ${summary}.${role} \`${method} ${path}\` */
  async ${operationId}(${options}): Promise<${result}> {
    ${responseSchema === undefined ? '' : '// The seam to the network: the service checks what it sends by the same schema.\n'}
    ${responseSchema === undefined ? 'await' : 'return (await'} this.#call({ ${call.join(', ')} })${responseSchema === undefined ? '' : `) as ${result}`};
  }`,
  };
}

function isJson({ requestBody, responses }: Operation): boolean {
  const contents = [
    requestBody,
    ...Object.entries(responses).flatMap(([status, one]) => (status === 'default' ? [] : [one])),
  ];
  return contents.every((one) =>
    Object.keys(one?.content ?? {}).every((type) => type === 'application/json'),
  );
}

function jsonOf(content: Content | undefined): Schema | undefined {
  return content?.content?.['application/json']?.schema;
}

/** What a query parameter takes: numbers are sent as text anyway. */
function queryTypeOf(schema: Schema): string {
  // People type values of long lists, and the service says which ones exist.
  if (valuesIn(schema) > choicesMax) return 'string';
  const type = typeOf(schema);
  return type === 'unknown' ? 'string | number' : type;
}

/** How many values a schema lists. */
function valuesIn(schema: Schema): number {
  const own = schema.enum?.length ?? 0;
  return (schema.anyOf ?? []).reduce((sum, one) => sum + valuesIn(one), own);
}

function typeOf(schema: Schema): string {
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((one) => JSON.stringify(one)).join(' | ');
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) return choices.map((one) => `(${typeOf(one)})`).join(' | ');
  if (schema.allOf !== undefined) return schema.allOf.map((one) => `(${typeOf(one)})`).join(' & ');
  const kinds = typeof schema.type === 'string' ? [schema.type] : (schema.type ?? []);
  if (kinds.length > 1) return kinds.map((type) => typeOf({ ...schema, type })).join(' | ');
  switch (kinds[0]) {
    case 'string':
      return 'string';
    case 'integer':
    case 'number':
      return 'number';
    case 'boolean':
      return 'boolean';
    case 'null':
      return 'null';
    case 'array':
      return `readonly (${schema.items === undefined ? 'unknown' : typeOf(schema.items)})[]`;
    case 'object':
      return objectTypeOf(schema);
    default:
      return 'unknown';
  }
}

function objectTypeOf({ properties, required = [], additionalProperties }: Schema): string {
  if (properties === undefined) {
    return typeof additionalProperties === 'object'
      ? `Readonly<Record<string, ${typeOf(additionalProperties)}>>`
      : 'Readonly<Record<string, unknown>>';
  }
  if (Object.keys(properties).length === 0) return 'Readonly<Record<string, never>>';
  const members = Object.entries(properties).map(([name, value]) =>
    required.includes(name)
      ? `readonly ${property(name)}: ${typeOf(value)};`
      : `readonly ${property(name)}?: ${typeOf(value)} | undefined;`,
  );
  return `{ ${members.join(' ')} }`;
}

function property(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name);
}
