/** The lint rule against regular expressions that a client can make slow. */
import test from 'ava';
import { ESLint } from 'eslint';
import regexp from 'eslint-plugin-regexp';
import tseslint from 'typescript-eslint';
import { z } from 'zod';

const ruleSchema = z.tuple([z.literal(2)]).rest(z.record(z.string(), z.unknown()));
const configSchema = z.object({ rules: z.record(z.string(), z.unknown()) });

/** The codes that the project's rules for regular expressions report in a file of the broker. */
async function faults(code: string): Promise<(string | null)[]> {
  const filePath = 'broker/listeners/planted.ts';
  const { rules } = configSchema.parse(await new ESLint().calculateConfigForFile(filePath));
  // These rules alone: the others need the types of the whole project.
  const own: Record<string, z.infer<typeof ruleSchema>> = {};
  for (const [name, rule] of Object.entries(rules)) {
    if (name.startsWith('regexp/')) own[name] = ruleSchema.parse(rule);
  }
  const eslint = new ESLint({
    overrideConfigFile: true,
    overrideConfig: {
      files: ['**/*.ts'],
      languageOptions: { parser: tseslint.parser },
      plugins: { regexp },
      rules: own,
    },
  });
  const [result] = await eslint.lintText(code, { filePath });
  return result?.messages.map(({ ruleId }) => ruleId) ?? [];
}

test('a planted expression with nested or adjacent quantifiers is a lint error', async (t) => {
  t.deepEqual(await faults('header.split(/\\s*,\\s*/);'), ['regexp/no-super-linear-move']);
  t.true((await faults('/^(a+)+$/.test(x);')).includes('regexp/no-super-linear-backtracking'));
  t.true((await faults('/^a*\\s*a*$/.test(x);')).includes('regexp/no-super-linear-backtracking'));
});

test('an expression with linear time is no lint error', async (t) => {
  t.deepEqual(await faults('/^[a-z0-9]{1,64}(?:\\.[a-z]+)*$/.test(x);'), []);
});
