/** Light and dark; by default as the system is set. @module */
import { signal } from '@preact/signals';
import type { JSX } from 'preact';

const themes = ['system', 'light', 'dark'] as const;
type Theme = (typeof themes)[number];
const storageKey = 'flotilla-theme';

const theme = signal<Theme>(stored());

/** Puts the chosen theme in force. */
export function applyTheme(): void {
  const { dataset } = document.documentElement;
  if (theme.value === 'system') delete dataset['theme'];
  else dataset['theme'] = theme.value;
}

export function ThemeSelect(): JSX.Element {
  return (
    <label class="theme">
      <span>Theme</span>
      <select
        value={theme.value}
        onChange={({ currentTarget }) => {
          theme.value = themes.find((one) => one === currentTarget.value) ?? 'system';
          localStorage.setItem(storageKey, theme.value);
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
