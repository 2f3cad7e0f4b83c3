/**
 * Which policy is in force here: the broker's own file if somebody edited it, else the fleet's policy from
 * the feed, else the default. The fleet's policy is kept on the disk, so that a broker that starts without
 * the enrollment service decides as before.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { writeFileAtomic } from '../../core/atomic-file.ts';
import { messageOf } from '../../core/errors/flotilla-error.ts';
import type { PolicyInForce } from '../../core/protocol/broker-sample.ts';
import { defaultPolicyText } from '../../core/policy/default-policy.ts';
import { parsePolicy, readPolicyText } from '../../core/policy/policy-file.ts';
import type { Policy } from '../../core/policy/policy-model.ts';

const faultMaxChars = 1000;

export class PolicySource {
  readonly #path: string;
  readonly #fleetPath: string;
  #text = defaultPolicyText;
  #source: PolicyInForce['source'] = 'default';
  #fault: string | undefined;
  /** Changes of the fleet's policy, one after the other. */
  #changing: Promise<void> = Promise.resolve();

  /**
   * @param path the broker's own file
   * @param fleetPath where the fleet's policy is kept
   */
  constructor(path: string, fleetPath: string) {
    this.#path = path;
    this.#fleetPath = fleetPath;
  }

  /** What is in force. */
  get inForce(): PolicyInForce {
    return {
      source: this.#source,
      sha256: createHash('sha256').update(this.#text).digest('hex'),
      ...(this.#fault === undefined ? {} : { fault: this.#fault }),
    };
  }

  get text(): string {
    return this.#text;
  }

  /**
   * Reads the policy that is to be in force.
   *
   * @throws FlotillaError `policy-invalid`, `policy-unreadable`; what was in force stays
   */
  async load(): Promise<Policy> {
    const own = await readPolicyText(this.#path);
    const fleet = await textOf(this.#fleetPath);
    // A new state has the default as its file: that is nobody's decision, and does not count as one.
    const isOwn = own !== undefined && own !== defaultPolicyText;
    const text = isOwn ? own : (fleet ?? defaultPolicyText);
    const policy = parsePolicy(text);
    this.#text = text;
    this.#source = isOwn ? 'file' : fleet === undefined ? 'default' : 'fleet';
    return policy;
  }

  /**
   * Takes the fleet's policy from the feed and keeps it. One that this broker does not understand is not
   * kept: what was in force stays, and the fault is reported.
   *
   * @param text null: the fleet has none
   * @param changed called when it is kept and {@link load} is to be called
   */
  fleetChanged(text: string | null, changed: () => Promise<void>): Promise<void> {
    this.#changing = this.#changing.then(async () => {
      try {
        if (text !== null) parsePolicy(text);
        if ((await textOf(this.#fleetPath)) === (text ?? undefined)) {
          this.#fault = undefined;
          return;
        }
        if (text === null) await rm(this.#fleetPath, { force: true });
        else await writeFileAtomic(this.#fleetPath, text);
        this.#fault = undefined;
        await changed();
      } catch (error) {
        this.#fault = messageOf(error).slice(0, faultMaxChars);
      }
    });
    return this.#changing;
  }
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    return undefined;
  }
}
