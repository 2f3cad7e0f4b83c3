/** A field for YAML. @module */
import type { JSX } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { useResource } from '../api/use-resource.ts';
import type { EditorFault, YamlEditor } from './yaml-editor.ts';
import type { HintSchema } from './yaml-hints.ts';

export interface CodeFieldProps {
  readonly label: string;
  readonly text: string;
  readonly change: (text: string) => void;
  readonly fault: EditorFault | undefined;
  readonly isReadOnly?: boolean;
  /** The call that returns the JSON Schema of the text. */
  readonly schemaPath: string;
}

/** A fault as a check of the service names it; undefined without a place. */
export function lineFaultOf(
  error:
    | { readonly detail: string; readonly line: number | null; readonly column: number | null }
    | null
    | undefined,
): EditorFault | undefined {
  if (error?.line == null) return undefined;
  return { detail: error.detail, line: error.line, column: error.column ?? 1 };
}

/** The editor; a plain field until its code has arrived, and if it cannot be loaded. */
export function CodeField(props: CodeFieldProps): JSX.Element {
  const { label, text, change, fault, isReadOnly = false, schemaPath } = props;
  const host = useRef<HTMLDivElement>(null);
  const latest = useRef(props);
  latest.current = props;
  const [editor, setEditor] = useState<YamlEditor>();
  const schema = useResource<HintSchema>(schemaPath);
  useEffect(() => {
    let opened: YamlEditor | undefined;
    let isGone = false;
    const opening = import('./yaml-editor.ts').then(({ openYamlEditor }) => {
      if (isGone || host.current === null) return;
      opened = openYamlEditor(host.current, {
        label,
        text: latest.current.text,
        isReadOnly: latest.current.isReadOnly ?? false,
        changed: (next) => latest.current.change(next),
      });
      setEditor(opened);
    });
    // Without the editor the plain field stays: after an upgrade of the service its file has another name.
    opening.catch(() => undefined);
    return () => {
      isGone = true;
      opened?.close();
    };
  }, [label]);
  // Before the next key press: later, it would take back what was typed in between.
  useLayoutEffect(() => editor?.setText(text), [editor, text]);
  useEffect(() => editor?.setReadOnly(isReadOnly), [editor, isReadOnly]);
  useEffect(() => editor?.setSchema(schema.data), [editor, schema.data]);
  useEffect(() => editor?.setFault(fault), [editor, fault?.line, fault?.column, fault?.detail]);
  return (
    <div class="code-field">
      <div ref={host} hidden={editor === undefined} />
      {editor === undefined ? (
        <textarea
          aria-label={label}
          value={text}
          readOnly={isReadOnly}
          spellcheck={false}
          wrap="off"
          onInput={({ currentTarget }) => change(currentTarget.value)}
        />
      ) : null}
    </div>
  );
}
