import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { useResource } from '../../api/use-resource.ts';
import { changeQuery } from '../../parts/browser-location.ts';
import { anyRole, deviceStatuses, type ListFilter, type FilterName } from './device-filter.ts';

const typingPauseMs = 250;
const expiryChoices = [
  ['0', 'expired'],
  ['86400', 'within a day'],
  ['604800', 'within 7 days'],
  ['2592000', 'within 30 days'],
  ['7776000', 'within 90 days'],
] as const;

/** Writes each change into the address, from where the list reads it. */
export function DeviceFilterForm({ filter }: { readonly filter: ListFilter }): JSX.Element {
  const groups = useResource((client) => client.listGroups());
  const groupChoices = (groups.data?.groups ?? []).flatMap(({ group, count }) =>
    group === null ? [] : [[group, `${group} (${count})`] as const],
  );
  return (
    <form class="filters" onSubmit={(event) => event.preventDefault()} aria-label="Filters">
      <TextFilter name="search" label="Id contains" value={filter.search ?? ''} />
      <ChoiceFilter
        name="status"
        label="Status"
        value={filter.status}
        choices={deviceStatuses.map((status) => [status, status] as const)}
      />
      <ChoiceFilter
        name="online"
        label="Connection"
        value={filter.online}
        choices={[
          ['true', 'online'],
          ['false', 'offline'],
        ]}
      />
      <ChoiceFilter name="group" label="Group" value={filter.group} choices={groupChoices} />
      <ChoiceFilter
        name="role"
        label="Kind"
        value={filter.role}
        unset="device"
        choices={[anyRole, 'service', 'broker', 'admin'].map((role) => [role, role] as const)}
      />
      <ChoiceFilter
        name="expires"
        label="Certificate ends"
        value={filter.expires}
        choices={expiryChoices}
      />
      <TextFilter name="policyRole" label="Role in the policy" value={filter.policyRole ?? ''} />
      <TextFilter
        name="attribute"
        label="Attribute"
        value={filter.attribute ?? ''}
        placeholder="name=value"
        isValid={(text) => /^[^=]{1,64}=/.test(text)}
      />
    </form>
  );
}

interface TextFilterProps {
  readonly name: FilterName;
  readonly label: string;
  readonly value: string;
  readonly placeholder?: string;
  /** A text that is not valid yet is not searched for. */
  readonly isValid?: (text: string) => boolean;
}

function TextFilter(props: TextFilterProps): JSX.Element {
  const { name, label, value, placeholder = '', isValid = () => true } = props;
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  const isGood = text === '' || isValid(text);
  useEffect(() => {
    if (text === value || !isGood) return;
    const timer = setTimeout(() => changeQuery({ [name]: text }), typingPauseMs);
    return () => clearTimeout(timer);
  }, [text, value, isGood, name]);
  return (
    <label class="field">
      <span>{label}</span>
      <input
        type="search"
        value={text}
        placeholder={placeholder}
        maxLength={128}
        spellcheck={false}
        aria-invalid={!isGood}
        onInput={({ currentTarget }) => setText(currentTarget.value)}
      />
      {isGood ? null : <small class="bad">Write {placeholder}.</small>}
    </label>
  );
}

interface ChoiceFilterProps {
  readonly name: FilterName;
  readonly label: string;
  readonly value: string | undefined;
  /** Shown while nothing is chosen. */
  readonly unset?: string;
  readonly choices: readonly (readonly [string, string])[];
}

function ChoiceFilter(props: ChoiceFilterProps): JSX.Element {
  const { name, label, value = '', unset = 'any', choices } = props;
  const isListed = value === '' || choices.some(([choice]) => choice === value);
  return (
    <label class="field">
      <span>{label}</span>
      <select
        value={value}
        onChange={({ currentTarget }) => changeQuery({ [name]: currentTarget.value })}
      >
        <option value="">{unset}</option>
        {isListed ? null : <option value={value}>{value}</option>}
        {choices.map(([choice, text]) => (
          <option key={choice} value={choice}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}
