/**
 * Whether something is in the file system.
 *
 * @module
 */
import { access } from 'node:fs/promises';

/** Whether a path exists. False also if its folder cannot be read: whoever opens the path gets the reason. */
export function pathExists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
