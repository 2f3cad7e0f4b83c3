import type { JSX } from 'preact';

export interface PayloadFieldProps {
  readonly value: string;
  readonly change: (value: string) => void;
}

/** The payload of a message, as text. */
export function PayloadField({ value, change }: PayloadFieldProps): JSX.Element {
  return (
    <label class="field grow">
      <span>Payload</span>
      <textarea
        rows={2}
        value={value}
        spellcheck={false}
        onInput={({ currentTarget }) => change(currentTarget.value)}
      />
    </label>
  );
}
