/**
 * Shell completion by the real shells, and the examples of the help texts.
 *
 * @module
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { Command } from 'commander';
import { commandsFor } from '../../cli/command-table.ts';
import { commandTree } from '../../cli/lib/command-tree.ts';
import { examples } from '../../cli/lib/examples.ts';
import { Runner } from '../../cli/lib/runner.ts';
import { processEnvironment } from '../../cli/lib/process-environment.ts';
import { runChild } from '../support/child.ts';
import { flotilla } from '../support/cli.ts';
import { debianTool } from '../support/debian-tool.ts';
import { tempFolder } from '../support/temp-folder.ts';

interface Completer {
  /** Prints what the shell offers for the words, the last of which is being typed. */
  readonly command: (script: string, words: readonly string[]) => readonly string[];
}

const completers: Readonly<Record<string, Completer>> = {
  bash: {
    command: (script, words) => [
      '-c',
      `. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _flotilla; printf '%s\\n' "\${COMPREPLY[@]}"`,
      'bash',
      script,
      ...words,
    ],
  },
  zsh: {
    command: (script, words) => [
      '-fc',
      // Without a line editor: what would be described is printed.
      `compdef() { : }; _files() { print -l -- *(N) }; _describe() { print -l -- "\${(@)items%%:*}" }; . "$1"; shift; words=("$@"); CURRENT=$#; _flotilla`,
      'zsh',
      script,
      ...words,
    ],
  },
  fish: {
    command: (script, words) => [
      '--no-config',
      '-c',
      `source $argv[1]; complete -C (string join ' ' -- $argv[2..])`,
      script,
      ...words,
    ],
  },
};

for (const [shell, { command }] of Object.entries(completers)) {
  test(`${shell} completes commands, options and choices`, async (t) => {
    const program = debianTool(t, shell);
    if (program === undefined) return;
    const script = join(tempFolder(t), `flotilla.${shell}`);
    writeFileSync(script, (await flotilla(['completion', shell])).stdout);
    const offered = async (...words: string[]): Promise<string[]> => {
      const done = await runChild(t, program, command(script, ['flotilla', ...words]), {
        env: { HOME: tempFolder(t) },
      });
      t.is(done.stderr, '');
      return done.stdout.split('\n').map((line) => line.split('\t')[0] ?? '');
    };
    const commands = await offered('');
    for (const name of ['up', 'device', 'sim', 'completion']) t.true(commands.includes(name), name);
    t.true((await offered('device', 'en')).includes('enroll'));
    t.true((await offered('device', 'enroll', '--')).includes('--fingerprint'));
    const keys = await offered('device', 'enroll', '--id', 'x', '--key-type', '');
    t.true(keys.includes('p256') && keys.includes('rsa2048'), keys.join());
    t.false(keys.includes('--fingerprint'));
    const ids = await offered('device', 'enroll', '--id', '');
    t.deepEqual(ids.filter(Boolean), [], 'a device id is not a file');
    if (shell === 'bash') return; // Readline offers the files where the function offers nothing.
    for (const words of [
      ['device', 'enroll', '--out', ''],
      ['policy', 'check', ''],
    ]) {
      const files = await offered(...words);
      t.true(
        files.some((file) => file.startsWith('README.md')),
        words.join(' '),
      );
    }
  });
}

test('an unknown shell is refused with the ones that there are', async (t) => {
  const done = await flotilla(['completion', 'tcsh']);
  t.is(done.code, 2);
  t.regex(done.stderr, /bash, zsh, fish/);
});

test('every example in the help texts names commands and options that exist', async (t) => {
  const program = await wholeProgram();
  const tree = commandTree(program);
  for (const [path, lines] of examples) {
    t.true(
      tree.some((node) => node.path.join(' ') === path),
      `no command ${path}`,
    );
    for (const line of lines) {
      const words = line.split(' ');
      const node = tree
        .filter((one) => one.path.every((word, at) => words[at] === word))
        .reduce((longest, one) => (one.path.length > longest.path.length ? one : longest));
      t.is(node.subcommands.length, 0, `${line}: ends at a command that runs`);
      for (const word of words.filter((one) => one.startsWith('--'))) {
        t.true(
          node.options.some((option) => option.flag === word),
          `${line}: ${word}`,
        );
      }
    }
  }
});

test('help starts with worked examples', async (t) => {
  for (const args of [['--help'], ['up', '--help'], ['device', 'enroll', '--help']]) {
    const done = await flotilla(args);
    t.is(done.code, 0);
    t.regex(done.stdout, /^Examples:\n {2}npx flotilla /, args.join(' '));
  }
});

async function wholeProgram(): Promise<Command> {
  const runner = new Runner(processEnvironment());
  const program = new Command('flotilla');
  for (const build of await commandsFor(['help'])) program.addCommand(build(runner));
  const { completionCommand } = await import('../../cli/commands/completion.ts');
  return program.addCommand(completionCommand(runner));
}
