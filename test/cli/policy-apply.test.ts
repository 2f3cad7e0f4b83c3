/** Roles and the policy of the fleet from the command line, with real services. @module */
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { z } from 'zod';
import { defaultPolicyText } from '../../core/policy/default-policy.ts';
import { deviceSchema, tokenSchema } from '../../core/protocol/enrollment-api.ts';
import { policySchema } from '../../core/protocol/operator-api.ts';
import { flotilla, startUp, type CommandResult, type Up } from '../support/cli.ts';
import { until } from '../support/until.ts';

const withGateways = `${defaultPolicyText}
  gateway:
    extends: device
    rules:
      - { allow: publish, topics: ['gateways/{device}/#'], when: { group: plant-a } }
`;
const explained = z.object({ allowed: z.boolean(), policy: z.string() });

let up: Up;
let file: string;
test.before(async () => {
  up = await startUp();
  file = join(up.folder, 'gateways.yaml');
  await writeFile(file, withGateways);
});
test.after.always(() => up.close());

const run = (...args: string[]): Promise<CommandResult> =>
  flotilla([...args, '--json', '--state', up.ready.state]);
const explain = async (): Promise<z.infer<typeof explained>> => {
  const question = ['--device', 'gw-1', '--action', 'publish', '--topic', 'gateways/gw-1/x'];
  return explained.parse((await run('policy', 'explain', ...question)).json());
};

test.serial(
  'a policy that is applied is in force, and its roles can be given to devices',
  async (t) => {
    const early = await run('token', 'create', '--device', 'gw-1', '--role', 'gateway');
    t.regex(early.stderr, /the policy has device, service, admin, broker.*\[policy-role-unknown\]/);
    const dry = await run('policy', 'apply', file, '--dry-run');
    t.is(dry.code, 0, dry.stderr);
    t.like(dry.json(), { dryRun: true });
    t.is((await up.ask(policySchema, 'policy', 'show')).source, 'default');
    t.like(await explain(), { policy: 'the default policy' });
    t.regex((await run('status')).stdout, /"the default policy"/);

    t.is((await run('policy', 'apply', file)).code, 0);
    const shown = await up.ask(policySchema, 'policy', 'show');
    t.like(shown, { source: 'fleet', text: withGateways });
    const token = await up.ask(
      tokenSchema,
      'token',
      'create',
      '--device',
      'gw-1',
      '--role',
      'gateway',
    );
    t.is(token.role, 'gateway');
    await up.ask(
      z.unknown(),
      ...['device', 'enroll', '--id', 'gw-1', '--out', `${up.folder}/gw-1`, '--url'].concat(
        up.ready.https.url,
        '--fingerprint',
        up.ready.ca.fingerprint,
        '--token',
        token.token,
      ),
    );
    t.like(await explain(), { allowed: false, policy: 'the policy of the fleet' });
    t.regex((await run('status')).stdout, /"the policy of the fleet"/);
    const edited = await up.ask(deviceSchema, 'device', 'edit', 'gw-1', '--group', 'plant-a');
    t.like(edited, { role: 'gateway', group: 'plant-a' });
    t.true((await explain()).allowed);
    t.is((await up.ask(deviceSchema, 'device', 'edit', 'gw-1', '--no-role')).role, 'device');
    t.false((await explain()).allowed);
    t.is(
      (await up.ask(deviceSchema, 'device', 'edit', 'gw-1', '--role', 'gateway')).role,
      'gateway',
    );
  },
);

test.serial('an edited file of a broker has precedence, and status names the broker', async (t) => {
  const own = withGateways.replace('gateways/{device}/#', 'others/{device}/#');
  await writeFile(join(up.ready.state, 'policy.yaml'), own);
  const { policy, allowed } = await explain();
  t.is(policy, join(up.ready.state, 'policy.yaml'));
  t.false(allowed);
  await until('status names the broker', async () =>
    /own file: broker/.test((await run('status')).stdout),
  );
  const applied = await flotilla(['policy', 'apply', file, '--state', up.ready.state]);
  t.regex(applied.stdout, /broker uses its own policy.yaml instead/);
});

test.serial(
  'on the machine of a broker, explain knows the identity without the service',
  async (t) => {
    const lonely = join(up.folder, 'lonely');
    await cp(join(up.ready.state, 'broker'), join(lonely, 'broker'), { recursive: true });
    await writeFile(join(lonely, 'policy.yaml'), withGateways);
    const question = ['--device', 'gw-1', '--action', 'publish', '--topic', 'gateways/gw-1/x'];
    const done = await flotilla(['policy', 'explain', ...question, '--json', '--state', lonely]);
    t.like(done.json(), { allowed: true }, done.stderr);
  },
);
