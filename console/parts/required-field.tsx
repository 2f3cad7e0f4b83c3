import type { JSX } from 'preact';

export interface RequiredFieldProps {
  readonly label: string;
  readonly value: string;
  readonly change: (value: string) => void;
  /** In UTF-16 code units, as the browser counts. */
  readonly maxLength: number;
}

/** A wide field of a form in one row: an identifier or a topic, which must not be empty. */
export function RequiredField({
  label,
  value,
  change,
  maxLength,
}: RequiredFieldProps): JSX.Element {
  return (
    <label class="field grow">
      <span>{label}</span>
      <input
        value={value}
        required
        maxLength={maxLength}
        spellcheck={false}
        onInput={({ currentTarget }) => change(currentTarget.value)}
      />
    </label>
  );
}
