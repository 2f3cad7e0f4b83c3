/**
 * Which policy the brokers of a state folder have in force, and what is known about an identity: for
 * `policy explain`, on the machine of the enrollment service as well as on that of a broker.
 *
 * @module
 */
import { access } from 'node:fs/promises';
import { DirectoryFile } from '../../broker/feed/directory-file.ts';
import { defaultPolicyText } from '../../core/policy/default-policy.ts';
import { readPolicyText } from '../../core/policy/policy-file.ts';
import { stateFolder } from '../../core/state-folder.ts';
import { adminClient, type AdminOptions } from './admin-client.ts';
import type { Context } from './command-context.ts';

export interface PolicyText {
  readonly text: string;
  /** Where it comes from, for people. */
  readonly from: string;
}

/** What the policy looks at, beside the address. */
export interface KnownIdentity {
  readonly role: string;
  readonly group: string | null;
  readonly attributes: Readonly<Record<string, string>>;
  readonly status: string;
}

/**
 * A broker prefers its own file, if somebody edited it, to the fleet's policy. A file beside an enrollment
 * service without a broker is in force nowhere, once the fleet has a policy.
 *
 * @throws FlotillaError `policy-unreadable`
 */
export async function policyInForce(options: AdminOptions, context: Context): Promise<PolicyText> {
  const state = stateFolder(options.state);
  const own = await readPolicyText(state.policy);
  const isEdited = own !== undefined && own !== defaultPolicyText;
  if (isEdited && (await exists(state.broker.directory))) return { text: own, from: state.policy };
  const fleet = await fleetPolicy(options, context);
  if (fleet !== undefined) return { text: fleet, from: 'the policy of the fleet' };
  if (isEdited) return { text: own, from: state.policy };
  const kept = await readPolicyText(state.broker.fleetPolicy);
  if (kept !== undefined)
    return { text: kept, from: `the policy of the fleet (${state.broker.fleetPolicy})` };
  return { text: defaultPolicyText, from: 'the default policy' };
}

/** @returns undefined when the fleet has none, or the service cannot be asked */
async function fleetPolicy(options: AdminOptions, context: Context): Promise<string | undefined> {
  try {
    const client = await adminClient(options, context);
    const { source, text } = await client.api.getPolicy();
    return source === 'fleet' ? text : undefined;
  } catch {
    return undefined;
  }
}

/**
 * An identity as the registry has it, or else the directory of a broker that runs on this state folder.
 *
 * @throws FlotillaError why neither has it
 */
export async function knownIdentity(
  id: string,
  options: AdminOptions,
  context: Context,
): Promise<KnownIdentity> {
  try {
    const client = await adminClient(options, context);
    return await client.api.getDevice({ id });
  } catch (error) {
    const stored = await new DirectoryFile(stateFolder(options.state).broker.directory).read();
    const entry = stored?.entries.get(id);
    if (entry === undefined) throw error;
    return entry;
  }
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
