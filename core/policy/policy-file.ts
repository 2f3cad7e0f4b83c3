/**
 * Reads policy.yaml: syntax, schema, topic templates and inheritance of roles. Every error names its line
 * and column.
 *
 * @module
 */
import { open } from 'node:fs/promises';
import { BlockList, isIP } from 'node:net';
import { FlotillaError, isFlotillaError } from '../errors/flotilla-error.ts';
import {
  policyDocumentSchema,
  type RoleDefinition,
  type RuleDefinition,
} from './policy-document.ts';
import type { Action, AddressRanges, Policy, Role, RoleLimits, Rule } from './policy-model.ts';
import { parseTemplate, type TopicTemplate } from './topic-template.ts';
import { readYaml, type Path, type Source } from './yaml-source.ts';

/** Maximum size of a policy file, in bytes of UTF-8. */
export const policyMaxBytes = 256 * 1024;

/**
 * Parses and checks a policy.
 *
 * @throws FlotillaError `policy-invalid` with line and column
 */
export function parsePolicy(text: string): Policy {
  const source = readYaml(text, policyMaxBytes, 'policy-invalid');
  const result = policyDocumentSchema.safeParse(source.value);
  if (!result.success) throw source.fault(result.error.issues, policyDocumentSchema);
  const { roles, onDenied } = result.data;
  const build = new RoleBuilder(new Map(Object.entries(roles)), source);
  return { onDenied, roles: build.all() };
}

/**
 * Reads the text of a policy file.
 *
 * @returns undefined when there is no such file
 * @throws FlotillaError `policy-unreadable`, `policy-invalid` when it is too large
 */
export async function readPolicyText(path: string): Promise<string | undefined> {
  try {
    return await textOf(path);
  } catch (error) {
    if (isFlotillaError(error)) throw error;
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new FlotillaError('policy-unreadable', { detail: path, cause: error });
  }
}

/** The text of a file. A file that is too large is not read. */
async function textOf(path: string): Promise<string> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    if (size <= policyMaxBytes) return await file.readFile('utf8');
    const detail = `${size} bytes; the maximum is ${policyMaxBytes}`;
    throw new FlotillaError('policy-invalid', { detail });
  } finally {
    await file.close();
  }
}

/** Builds roles with what they inherit. Rejects circular inheritance. */
class RoleBuilder {
  readonly #definitions: ReadonlyMap<string, RoleDefinition>;
  readonly #source: Source;
  readonly #built = new Map<string, Role>();
  readonly #building: string[] = [];

  constructor(definitions: ReadonlyMap<string, RoleDefinition>, source: Source) {
    this.#definitions = definitions;
    this.#source = source;
  }

  all(): ReadonlyMap<string, Role> {
    for (const name of this.#definitions.keys()) this.#build(name, ['roles', name]);
    return this.#built;
  }

  #build(name: string, from: Path): Role {
    const known = this.#built.get(name);
    if (known !== undefined) return known;
    const definition = this.#definitions.get(name);
    if (definition === undefined) throw this.#source.at(from, `the role ${name} does not exist`);
    if (this.#building.includes(name)) {
      throw this.#source.at(
        from,
        `circular inheritance of roles: ${[...this.#building, name].join(' → ')}`,
      );
    }
    this.#building.push(name);
    const parents = listOf(definition.extends).map((parent) =>
      this.#build(parent, ['roles', name, 'extends']),
    );
    this.#building.pop();
    const own = definition.rules.map((rule, index) => readRule(name, index, rule, this.#source));
    const role: Role = {
      name,
      clientIds: definition.clientIds ?? parents.at(-1)?.clientIds ?? 'exact',
      rules: [...new Set([...parents.flatMap((parent) => parent.rules), ...own])],
      limits: Object.assign({}, ...parents.map((p) => p.limits), definition.limits) as RoleLimits,
    };
    this.#built.set(name, role);
    return role;
  }
}

function readRule(role: string, index: number, rule: RuleDefinition, source: Source): Rule {
  const path: Path = ['roles', role, 'rules', index];
  const chosen = rule.allow ?? rule.deny;
  if (chosen === undefined || (rule.allow !== undefined && rule.deny !== undefined)) {
    throw source.at(path, 'a rule must have either allow or deny');
  }
  const acts = new Set<Action>(listOf(chosen));
  const onlyPublish = ['retain', 'payloadMinBytes', 'payloadMaxBytes'] as const;
  for (const condition of onlyPublish) {
    if (rule[condition] !== undefined && [...acts].some((action) => action !== 'publish')) {
      throw source.at([...path, condition], `${condition} is allowed only for publish`);
    }
  }
  if (rule.qos !== undefined && acts.has('receive')) {
    throw source.at([...path, 'qos'], 'qos is not allowed for receive');
  }
  const topics = rule.topics.map((topic, at): TopicTemplate => {
    const template = parseTemplate(topic);
    if (typeof template === 'string') throw source.at([...path, 'topics', at], template);
    return template;
  });
  return {
    name: rule.name === undefined ? `${role}#${index + 1}` : `${role}/${rule.name}`,
    effect: rule.allow === undefined ? 'deny' : 'allow',
    actions: acts,
    topics,
    qos: rule.qos === undefined ? undefined : new Set(listOf(rule.qos)),
    retain: rule.retain,
    payloadMinBytes: rule.payloadMinBytes,
    payloadMaxBytes: rule.payloadMaxBytes,
    when: rule.when,
    addresses:
      rule.addresses === undefined
        ? undefined
        : readRanges(rule.addresses, (at, what) => source.at([...path, 'addresses', at], what)),
  };
}

function readRanges(
  source: readonly string[],
  fault: (at: number, what: string) => FlotillaError,
): AddressRanges {
  const ranges = new BlockList();
  for (const [at, text] of source.entries()) {
    const [address = '', bits, ...rest] = text.split('/');
    const version = isIP(address);
    const width = version === 6 ? 128 : 32;
    const prefix = bits === undefined ? width : Number(bits);
    if (
      version === 0 ||
      rest.length > 0 ||
      (bits !== undefined && !/^\d{1,3}$/.test(bits)) ||
      prefix > width
    ) {
      throw fault(at, `${JSON.stringify(text)} is not an address or a range such as 10.0.0.0/8`);
    }
    ranges.addSubnet(address, prefix, version === 6 ? 'ipv6' : 'ipv4');
  }
  return { source, list: ranges };
}

function listOf<T>(value: T | readonly T[] | undefined): readonly T[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? (value as readonly T[]) : [value as T];
}
