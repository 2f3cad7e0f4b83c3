import type { JSX } from 'preact';

/** The reasons of RFC 5280 that a person chooses from, in words. */
const reasons = [
  ['unspecified', 'not stated'],
  ['keyCompromise', 'the key may be known to others'],
  ['affiliationChanged', 'the device has another owner'],
  ['superseded', 'replaced by another certificate'],
  ['cessationOfOperation', 'the device is out of service'],
  ['privilegeWithdrawn', 'it may no longer connect'],
] as const;

export type RevocationReason = (typeof reasons)[number][0];

/** The reason that has this code, or else that none is stated. */
export function revocationReasonOf(text: string): RevocationReason {
  return reasons.find(([code]) => code === text)?.[0] ?? 'unspecified';
}

export function RevocationReasonField({
  value,
  change,
}: {
  readonly value: string;
  readonly change: (value: string) => void;
}): JSX.Element {
  return (
    <label class="field">
      <span>Reason</span>
      <select value={value} onChange={({ currentTarget }) => change(currentTarget.value)}>
        {reasons.map(([code, text]) => (
          <option key={code} value={code}>
            {code}: {text}
          </option>
        ))}
      </select>
    </label>
  );
}
