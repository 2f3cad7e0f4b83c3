import test from 'ava';
import { pageStyle } from '../../../../device-sim/report/html-style.ts';

/** The colors of the light and of the dark theme, by name. */
const themes = [...pageStyle.matchAll(/:root\{([^}]*)\}/g)].map(
  ([, rules = '']) =>
    new Map(
      [...rules.matchAll(/--(\w+):(#\w+)/g)].map(([, name = '', color = '']) => [name, color]),
    ),
);

/** WCAG 2.2 contrast ratio of two colors. */
function contrast(one: string, two: string): number {
  const [high = 0, low = 0] = [luminance(one), luminance(two)].toSorted((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
}

function luminance(color: string): number {
  const digits = color.slice(1);
  const pairs = digits.length === 3 ? digits.replaceAll(/./g, '$&$&') : digits;
  const [red = 0, green = 0, blue = 0] = [0, 2, 4].map((at) => {
    const share = Number.parseInt(pairs.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

test('the style has a light and a dark theme with the same colors', (t) => {
  t.is(themes.length, 2);
  t.deepEqual([...themes[0]!.keys()], [...themes[1]!.keys()]);
});

test('text has a contrast of at least 4.5:1 in both themes', (t) => {
  const pairs = [
    ...['ink', 'soft', 'good', 'bad', 'blue'].flatMap((text) => [
      [text, 'paper'],
      [text, 'back'],
    ]),
    ['ink', 'band'],
    ['soft', 'band'],
    ...['good', 'bad', 'neutral'].map((badge) => ['on', badge]),
  ];
  for (const theme of themes) {
    for (const [text = '', ground = ''] of pairs) {
      const ratio = contrast(theme.get(text)!, theme.get(ground)!);
      t.true(ratio >= 4.5, `${text} on ${ground}: ${ratio.toFixed(2)}`);
    }
  }
});

test('lines and areas of plots have a contrast of at least 3:1 in both themes', (t) => {
  const lines = ['blue', 'orange', 'red', 'green', 'grey', 'violet', 'teal', 'ochre', 'pink'];
  for (const theme of themes) {
    for (const line of lines) {
      for (const ground of ['paper', 'band']) {
        const ratio = contrast(theme.get(line)!, theme.get(ground)!);
        t.true(ratio >= 3, `${line} on ${ground}: ${ratio.toFixed(2)}`);
      }
    }
  }
});
