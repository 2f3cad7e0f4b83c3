/**
 * Worked examples at the head of each help text. A test parses every one of them.
 *
 * @module
 */
import type { Command } from 'commander';

/** By the words of the command; the program itself is the empty text. Shell lines without the name. */
export const examples: ReadonlyMap<string, readonly string[]> = new Map([
  [
    '',
    [
      'up --devices 25',
      'device enroll --id first-device --out first-device',
      'device revoke first-device',
      'sim run --devices 1000 --duration 30s',
    ],
  ],
  [
    'up',
    [
      'up --devices 25',
      'up --nodes 3 --devices 25 --state cluster-demo',
      'up --state /var/lib/flotilla --host 0.0.0.0 --log-level info',
    ],
  ],
  ['init', ['init --state /var/lib/flotilla']],
  ['console', ['console', 'console --link --operator alice']],
  ['status', ['status', 'status --all', 'status --json']],
  ['node list', ['node list', 'node list --state cluster-demo --json']],
  ['node drain', ['node drain broker-1', 'node drain broker-1 --timeout 10m']],
  ['node resume', ['node resume broker-1']],
  ['cluster import', ['cluster import --dry-run', 'cluster import --state /var/lib/flotilla']],
  [
    'cluster export',
    [
      'cluster export --state /var/lib/flotilla',
      'cluster export --state /var/lib/flotilla --to /var/lib/flotilla-files',
    ],
  ],
  ['check', ['check', 'check --state /var/lib/flotilla --json']],
  [
    'doctor',
    ['doctor --dir first-device', 'doctor --dir pump-7 --mqtts flotilla.example.org:8883'],
  ],
  [
    'token create',
    ['token create --device pump-7', 'token create --group north --uses 50 --ttl 7d'],
  ],
  ['token list', ['token list --status active']],
  ['token revoke', ['token revoke token:0123456789abcdef']],
  [
    'device bulk',
    [
      'device bulk --action revoke --group north --dry-run',
      'device bulk --action delete --status revoked --yes',
    ],
  ],
  [
    'device enroll',
    [
      'device enroll --id first-device --out first-device',
      'device enroll --url https://flotilla.example.org:8443 --fingerprint sha256:… --token - --id pump-7 --out pump-7',
    ],
  ],
  ['device renew', ['device renew --dir pump-7 --rekey', 'device renew --dir pump-7 --if-due']],
  ['device agent', ['device agent --dir pump-7 --rekey --hook ./restart-client.sh']],
  ['device list', ['device list --group north --limit 50', 'device list --expires-within 30d']],
  ['device show', ['device show pump-7']],
  [
    'device revoke',
    ['device revoke pump-7 --reason keyCompromise', 'device revoke pump-7 --dry-run'],
  ],
  ['device suspend', ['device suspend pump-7']],
  ['device resume', ['device resume pump-7']],
  ['device delete', ['device delete pump-7']],
  ['group revoke', ['group revoke north --dry-run', 'group revoke north --yes']],
  ['request list', ['request list']],
  ['request approve', ['request approve pump-7', 'request approve 5f2c0a…']],
  ['request deny', ['request deny pump-7', 'request deny --all --yes']],
  ['factory add', ['factory add maker --cert maker-root.pem --allow serials.txt']],
  ['factory list', ['factory list']],
  ['factory remove', ['factory remove maker']],
  ['issuer add', ['issuer add']],
  ['issuer list', ['issuer list']],
  ['service create', ['service create --name backend --role service --out backend']],
  ['service list', ['service list --role broker']],
  ['service renew', ['service renew --dir backend']],
  ['service revoke', ['service revoke backend --reason keyCompromise']],
  ['operator list', ['operator list']],
  [
    'operator set',
    ['operator set alice --role operator', 'operator set bob --role viewer --disabled'],
  ],
  ['operator remove', ['operator remove alice']],
  ['key list', ['key list']],
  ['key create', ['key create --name ci --operator alice --role viewer --ttl 30d']],
  ['key remove', ['key remove 0123456789abcdef']],
  ['policy check', ['policy check .flotilla/policy.yaml']],
  [
    'policy explain',
    ['policy explain --device pump-7 --action publish --topic devices/pump-7/state'],
  ],
  [
    'pub',
    [
      'pub --dir first-device devices/first-device/hello hello',
      'pub --dir backend devices/pump-7/commands/reboot now --qos 2',
    ],
  ],
  ['sub', ["sub --dir backend 'devices/#'", "sub --dir backend '$fleet/presence/+' --count 5"]],
  [
    'sim run',
    ['sim run --devices 1000 --duration 30s --rate 1', 'sim run plan.yaml --report report'],
  ],
  ['audit tail', ['audit tail --lines 20']],
  ['audit verify', ['audit verify']],
  ['ca passphrase', ['ca passphrase --new-passphrase-file passphrase.txt']],
  ['backup', ['backup --out flotilla-backup.tar.gz']],
  ['restore', ['restore flotilla-backup.tar.gz --state /var/lib/flotilla']],
  ['enroll serve', ['enroll serve --state /var/lib/flotilla --host 0.0.0.0']],
  [
    'broker serve',
    ['broker serve --state /var/lib/flotilla --enroll-url https://flotilla.example.org:8443'],
  ],
  ['completion', ['completion bash > ~/.local/share/bash-completion/completions/flotilla']],
]);

/** Puts the examples before the usage line of each command. */
export function addExamples(command: Command, program: string, path = ''): void {
  const found = examples.get(path);
  if (found !== undefined) {
    const lines = found.map((line) => `  ${program} ${line}`);
    command.addHelpText('before', `Examples:\n${lines.join('\n')}\n`);
  }
  for (const sub of command.commands) {
    addExamples(sub, program, path === '' ? sub.name() : `${path} ${sub.name()}`);
  }
}
