/**
 * An editor for YAML: CodeMirror with colors, line numbers, faults in place, and hints from a JSON Schema. It
 * is loaded when a screen needs it.
 *
 * @module
 */
import {
  autocompletion,
  completionKeymap,
  type CompletionContext,
  type CompletionResult,
} from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands';
import { yaml } from '@codemirror/lang-yaml';
import { HighlightStyle, indentOnInput, syntaxHighlighting } from '@codemirror/language';
import { lintGutter, setDiagnostics } from '@codemirror/lint';
import { Compartment, EditorState, type Extension } from '@codemirror/state';
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  hoverTooltip,
  keymap,
  lineNumbers,
} from '@codemirror/view';
import { tags } from '@lezer/highlight';
import {
  descriptionOf,
  keyHints,
  schemasAt,
  valueHints,
  yamlKeyAt,
  yamlPath,
  type Hint,
  type HintSchema,
} from './yaml-hints.ts';

export interface EditorFault {
  readonly detail: string;
  /** Counted from 1. */
  readonly line: number;
  readonly column: number;
}

export interface EditorOptions {
  readonly label: string;
  readonly text: string;
  readonly isReadOnly: boolean;
  readonly changed: (text: string) => void;
}

export interface YamlEditor {
  setText(text: string): void;
  setReadOnly(isReadOnly: boolean): void;
  setFault(fault: EditorFault | undefined): void;
  setSchema(schema: HintSchema | undefined): void;
  close(): void;
}

const colors = HighlightStyle.define([
  { tag: tags.definition(tags.propertyName), color: 'var(--accent)' },
  { tag: tags.string, color: 'var(--good)' },
  { tag: [tags.number, tags.bool, tags.keyword], color: 'var(--plot-second)' },
  { tag: tags.comment, color: 'var(--faint)', fontStyle: 'italic' },
]);

const theme = EditorView.theme({
  '&': { height: '100%', fontSize: '13px', color: 'var(--text)', backgroundColor: 'var(--panel)' },
  '&.cm-focused': { outline: '2px solid var(--accent)', outlineOffset: '-2px' },
  '.cm-scroller': {
    fontFamily: "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace",
    lineHeight: '20px',
  },
  '.cm-content': { caretColor: 'var(--text)' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '.cm-gutters': {
    backgroundColor: 'var(--back)',
    color: 'var(--faint)',
    borderRight: '1px solid var(--line)',
  },
  '.cm-activeLine': { backgroundColor: 'color-mix(in srgb, var(--hover) 55%, transparent)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground':
    { backgroundColor: 'color-mix(in srgb, var(--accent) 25%, transparent)' },
  '.cm-tooltip': {
    backgroundColor: 'var(--panel)',
    color: 'var(--text)',
    border: '1px solid var(--line)',
    borderRadius: '6px',
    maxWidth: '26rem',
  },
  '.cm-tooltip.cm-tooltip-hover': { padding: '0.3rem 0.5rem' },
  '.cm-tooltip-autocomplete ul li[aria-selected]': {
    backgroundColor: 'var(--accent)',
    color: 'var(--accent-text)',
  },
});

/** Opens an editor in a shadow root of the element: there its styles need no exception in the page's CSP. */
export function openYamlEditor(host: HTMLElement, options: EditorOptions): YamlEditor {
  const root = host.shadowRoot ?? host.attachShadow({ mode: 'open' });
  const frame = document.createElement('div');
  frame.style.height = '100%';
  root.replaceChildren(frame);
  let schema: HintSchema | undefined;
  let isOwnChange = false;
  const writing = new Compartment();
  const view = new EditorView({
    root,
    parent: frame,
    state: EditorState.create({
      doc: options.text,
      extensions: [
        ...editing(() => schema),
        writing.of(EditorState.readOnly.of(options.isReadOnly)),
        EditorView.contentAttributes.of({ 'aria-label': options.label, tabindex: '0' }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged && !isOwnChange) options.changed(update.state.doc.toString());
        }),
      ],
    }),
  });
  return {
    setText(text) {
      if (text === view.state.doc.toString()) return;
      isOwnChange = true;
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
      isOwnChange = false;
    },
    setReadOnly(isReadOnly) {
      view.dispatch({ effects: writing.reconfigure(EditorState.readOnly.of(isReadOnly)) });
    },
    setFault(fault) {
      const at = fault === undefined ? undefined : rangeOf(view.state, fault);
      const found =
        at === undefined || fault === undefined
          ? []
          : [{ ...at, severity: 'error' as const, message: fault.detail }];
      view.dispatch(setDiagnostics(view.state, found));
    },
    setSchema(next) {
      schema = next;
    },
    close() {
      view.destroy();
    },
  };
}

function editing(schemaOf: () => HintSchema | undefined): Extension[] {
  return [
    lineNumbers(),
    lintGutter(),
    history(),
    drawSelection(),
    highlightActiveLine(),
    indentOnInput(),
    yaml(),
    syntaxHighlighting(colors),
    theme,
    autocompletion({ override: [(context) => completionsOf(context, schemaOf())] }),
    hoverTooltip((view, position) => hoverOf(view.state, position, schemaOf())),
    // Tab indents; Escape and then Tab leaves the editor, which keyboard users need.
    keymap.of([...completionKeymap, ...defaultKeymap, ...historyKeymap, indentWithTab]),
  ];
}

function completionsOf(
  context: CompletionContext,
  schema: HintSchema | undefined,
): CompletionResult | null {
  if (schema === undefined) return null;
  const { state, pos } = context;
  const line = state.doc.lineAt(pos);
  const before = line.text.slice(0, pos - line.from);
  const lines = state.doc.toString().split('\n');
  const [word = ''] = /[\w.-]*$/.exec(before) ?? [];
  if (word === '' && !context.explicit) return null;
  const from = pos - word.length;
  const own = yamlKeyAt(lines, line.number - 1);
  const isValue = own !== undefined && before.length > own.column + own.key.length;
  if (isValue) {
    const hints = valueHints(schemasAt(schema, [...own.path, own.key]));
    return { from, options: hints.map((hint) => optionOf(hint, hint.label)) };
  }
  const path = yamlPath(lines, line.number - 1, from - line.from);
  const here = schemasAt(schema, path);
  return {
    from,
    options: [
      ...keyHints(here).map((hint) => optionOf(hint, `${hint.label}: `)),
      ...valueHints(here).map((hint) => optionOf(hint, hint.label)),
    ],
  };
}

function optionOf(
  { label, description }: Hint,
  apply: string,
): CompletionResult['options'][number] {
  return { label, apply, ...(description === undefined ? {} : { info: description }) };
}

function hoverOf(
  state: EditorState,
  position: number,
  schema: HintSchema | undefined,
): { pos: number; create: () => { dom: HTMLElement } } | null {
  if (schema === undefined) return null;
  const line = state.doc.lineAt(position);
  const own = yamlKeyAt(state.doc.toString().split('\n'), line.number - 1);
  const column = position - line.from;
  if (own === undefined || column < own.column || column > own.column + own.key.length) return null;
  const text = descriptionOf(schema, [...own.path, own.key]);
  if (text === undefined) return null;
  return {
    pos: line.from + own.column,
    create() {
      const dom = document.createElement('div');
      dom.textContent = text;
      return { dom };
    },
  };
}

/** From the place of the fault to the end of its line. */
function rangeOf(state: EditorState, { line, column }: EditorFault): { from: number; to: number } {
  const found = state.doc.line(Math.min(Math.max(1, line), state.doc.lines));
  const from = Math.min(found.from + Math.max(0, column - 1), found.to);
  return { from, to: Math.max(from, found.to) };
}
