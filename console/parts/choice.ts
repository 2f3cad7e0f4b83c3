/** Values of select elements. @module */

/** The choice that has this text; the first one when none has it. */
export function choiceOf<const T extends string | number>(
  choices: readonly [T, ...T[]],
  text: string,
): T {
  return choices.find((one) => String(one) === text) ?? choices[0];
}
