/** Light and dark; by default as the system is set. @module */
import { signal } from '@preact/signals';
import type { JSX } from 'preact';

const themes = ['system', 'light', 'dark'] as const;
type Theme = (typeof themes)[number];
const storageKey = 'flotilla-theme';

/** What the person chose. */
export const chosenTheme = signal<Theme>(stored());

/** Puts the chosen theme in force. */
export function applyTheme(): void {
  const { dataset } = document.documentElement;
  if (chosenTheme.value === 'system') delete dataset['theme'];
  else dataset['theme'] = chosenTheme.value;
}

export function ThemeSelect(): JSX.Element {
  return (
    <label class="theme">
      <span>Theme</span>
      <select
        value={chosenTheme.value}
        onChange={({ currentTarget }) => {
          chosenTheme.value = themes.find((one) => one === currentTarget.value) ?? 'system';
          localStorage.setItem(storageKey, chosenTheme.value);
          applyTheme();
        }}
      >
        {themes.map((one) => (
          <option key={one} value={one}>
            {one}
          </option>
        ))}
      </select>
    </label>
  );
}

function stored(): Theme {
  const value = localStorage.getItem(storageKey);
  return themes.find((one) => one === value) ?? 'system';
}
