import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

export interface PolicyEditorProps {
  readonly text: string;
  readonly change: (text: string) => void;
  /** Marked in the margin; counted from 1. */
  readonly errorLine: number | undefined;
  readonly isReadOnly: boolean;
}

/** A text field with numbered lines. */
export function PolicyEditor({
  text,
  change,
  errorLine,
  isReadOnly,
}: PolicyEditorProps): JSX.Element {
  const margin = useRef<HTMLPreElement>(null);
  const area = useRef<HTMLTextAreaElement>(null);
  const count = text.split('\n').length;
  useEffect(() => {
    if (margin.current !== null && area.current !== null) {
      margin.current.scrollTop = area.current.scrollTop;
    }
  });
  return (
    <div class="editor">
      <pre ref={margin} aria-hidden="true">
        {Array.from({ length: count }, (_, at) => (
          <span key={at} class={at + 1 === errorLine ? 'wrong' : ''}>
            {at + 1}
            {'\n'}
          </span>
        ))}
      </pre>
      <textarea
        ref={area}
        aria-label="Policy (YAML)"
        aria-invalid={errorLine !== undefined}
        value={text}
        readOnly={isReadOnly}
        spellcheck={false}
        wrap="off"
        onInput={({ currentTarget }) => change(currentTarget.value)}
        onScroll={({ currentTarget }) => {
          if (margin.current !== null) margin.current.scrollTop = currentTarget.scrollTop;
        }}
      />
    </div>
  );
}
