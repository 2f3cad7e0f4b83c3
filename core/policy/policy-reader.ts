/**
 * Reads policies that somebody sends, without holding up other work.
 *
 * @module
 */
import { FlotillaError } from '../errors/flotilla-error.ts';
import { ReadingThread } from '../reading-thread.ts';
import { workerModule } from '../worker-module.ts';
import type { Explanation, Question } from './explanation.ts';
import type { Policy } from './policy-model.ts';
import type { PolicyTestResult } from './policy-test.ts';
import {
  workOnPolicy,
  type PolicyTask,
  type PolicyWorkResult,
  type RoleSummary,
} from './policy-work.ts';
import type { Subject } from './rules-for.ts';

/** Shorter texts are read at once: that takes less than 10 ms, and a thread takes longer to start. */
const shortMaxChars = 2048;

const readerUrl = workerModule('./policy-reader-worker', import.meta.url);

/** All methods throw the errors of {@link ReadingThread.run} and `policy-invalid`. */
export class PolicyReader {
  readonly #thread = new ReadingThread<PolicyTask, PolicyWorkResult>({
    module: readerUrl,
    tooLong: 'policy-invalid',
  });

  async read(text: string, caller: string): Promise<Policy> {
    const result = await this.#work({ kind: 'read', text }, caller);
    if (result.kind !== 'read') throw new FlotillaError('internal');
    return result.policy;
  }

  /** Whether a policy is valid. @returns its roles */
  async check(text: string, caller: string): Promise<readonly RoleSummary[]> {
    const result = await this.#work({ kind: 'check', text }, caller);
    if (result.kind !== 'check') throw new FlotillaError('internal');
    return result.roles;
  }

  async explain(
    text: string,
    subject: Subject,
    question: Question,
    caller: string,
  ): Promise<Explanation> {
    const result = await this.#work({ kind: 'explain', text, subject, question }, caller);
    if (result.kind !== 'explain') throw new FlotillaError('internal');
    return result.explanation;
  }

  /** @param casesMax so many decisions are returned one by one @throws FlotillaError `policy-test-invalid` */
  async test(
    text: string,
    tests: string,
    casesMax: number,
    caller: string,
  ): Promise<PolicyTestResult> {
    const result = await this.#work({ kind: 'test', text, tests, casesMax }, caller);
    if (result.kind !== 'test') throw new FlotillaError('internal');
    return result.tested;
  }

  async #work(task: PolicyTask, caller: string): Promise<PolicyWorkResult> {
    const isShort = task.kind !== 'test' && task.text.length <= shortMaxChars;
    return isShort ? workOnPolicy(task) : this.#thread.run(task, caller);
  }
}
