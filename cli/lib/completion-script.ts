/**
 * Completion scripts for shells. They are complete in themselves: pressing Tab starts no program.
 *
 * @module
 */
import type { CommandNode } from './command-tree.ts';

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

/** The script for one shell. */
export function completionScript(shell: Shell, tree: readonly CommandNode[]): string {
  switch (shell) {
    case 'bash':
      return bashScript(tree);
    case 'zsh':
      return zshScript(tree);
    case 'fish':
      return fishScript(tree);
  }
}

/** A command as the scripts know it: its words, with a space before each. */
function key(path: readonly string[]): string {
  return path.map((word) => ` ${word}`).join('');
}

function bashScript(tree: readonly CommandNode[]): string {
  const words = tree.map(
    ({ path, subcommands, options }) =>
      `    '${key(path)}') words='${[
        ...subcommands.map(({ name }) => name),
        ...options.map(({ flag }) => flag),
      ].join(' ')}' ;;`,
  );
  return `# flotilla completion for bash: source this file, or put it into
# ~/.local/share/bash-completion/completions/flotilla
_flotilla() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]}
  local path= words= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$path \${COMP_WORDS[i]}" in
    ${commandPattern(tree)}) path="$path \${COMP_WORDS[i]}" ;;
    esac
  done
  case "$path $previous" in
${valueCases(tree, {
  choices: (choices) => `words='${choices.join(' ')}'`,
  path: 'return',
  // Without this, bash offers files where this function offers nothing.
  other: 'compopt +o default 2>/dev/null; return',
})}
  *)
    case "$path" in
${words.join('\n')}
    esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _flotilla flotilla
`;
}

function zshScript(tree: readonly CommandNode[]): string {
  const items = tree.map(({ path, subcommands, options, takesFile }) => {
    const entries = [
      ...subcommands.map(({ name, description }) => zshEntry(name, description)),
      ...options.map(({ flag, description }) => zshEntry(flag, description)),
    ];
    const files = takesFile ? '[[ $words[CURRENT] = -* ]] || _files; ' : '';
    return `    ${quoted(key(path))}) ${files}items=(${entries.join(' ')}) ;;`;
  });
  return `#compdef flotilla
# flotilla completion for zsh: put it into a folder of $fpath as _flotilla, or source it after compinit
_flotilla() {
  local command_path= word
  local -a items
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "$command_path $word" in
    (${commandPattern(tree)}) command_path="$command_path $word" ;;
    esac
  done
  case "$command_path $words[CURRENT-1]" in
${valueCases(tree, {
  choices: (choices) => `items=(${choices.map(quoted).join(' ')})`,
  path: '_files; return',
  other: 'return',
})}
  *)
    case "$command_path" in
${items.join('\n')}
    esac ;;
  esac
  _describe flotilla items
}
if [ "$funcstack[1]" = _flotilla ]; then _flotilla "$@"; else compdef _flotilla flotilla; fi
`;
}

function fishScript(tree: readonly CommandNode[]): string {
  const lines = tree.flatMap(({ path, subcommands, options }) => {
    const at = `-n '__flotilla_at "${path.join(' ')}"'`;
    return [
      ...subcommands.map(
        ({ name, description }) =>
          `complete -c flotilla -f ${at} -a ${name} -d ${quoted(description)}`,
      ),
      ...options.map(({ flag, description, takesValue, choices, isPath }) => {
        const value =
          choices.length > 0 ? ` -x -a ${quoted(choices.join(' '))}` : takesValue ? ' -r' : '';
        const files = isPath ? ' -F' : takesValue && choices.length === 0 ? ' -f' : '';
        return `complete -c flotilla ${at} -l ${flag.slice(2)}${value}${files} -d ${quoted(description)}`;
      }),
    ];
  });
  const paths = tree
    .filter(({ path }) => path.length > 0)
    .map(({ path }) => quoted(path.join(' ')));
  return `# flotilla completion for fish: put it into ~/.config/fish/completions/flotilla.fish
function __flotilla_at
  set -l at ''
  for word in (commandline -opc)[2..]
    set -l next (string trim -- "$at $word")
    contains -- $next ${paths.join(' ')}; and set at $next
  end
  test "$at" = "$argv[1]"
end
${lines.join('\n')}
`;
}

/** A pattern of all commands but the program, for \`case\`. */
function commandPattern(tree: readonly CommandNode[]): string {
  return tree
    .filter(({ path }) => path.length > 0)
    .map(({ path }) => quoted(key(path)))
    .join('|');
}

/** Shell code for what can come after an option that takes a value. */
interface ValueActions {
  readonly choices: (choices: readonly string[]) => string;
  /** A file or folder. */
  readonly path: string;
  /** Anything else: nothing is offered. */
  readonly other: string;
}

function valueCases(tree: readonly CommandNode[], actions: ValueActions): string {
  const lines = tree.flatMap(({ path, options }) =>
    options
      .filter(({ takesValue }) => takesValue)
      .map(({ flag, choices, isPath }) => {
        const withoutChoices = isPath ? actions.path : actions.other;
        const action = choices.length > 0 ? actions.choices(choices) : withoutChoices;
        return `  ${quoted(`${key(path)} ${flag}`)}) ${action} ;;`;
      }),
  );
  return lines.join('\n');
}

function zshEntry(name: string, description: string): string {
  return quoted(`${name}:${description.replaceAll(':', String.raw`\:`)}`);
}

/** Single quotes that zsh and fish read alike: a quote inside is left out. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", '’').replaceAll('\\', '')}'`;
}
