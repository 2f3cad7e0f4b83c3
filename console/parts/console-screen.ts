/** A screen in the navigation. */
export interface ConsoleScreen {
  readonly path: string;
  readonly title: string;
  /** After `g`: opens the screen. */
  readonly letter: string;
}
