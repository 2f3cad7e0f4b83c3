/**
 * Errors of the operating system, in the words of the catalogue.
 *
 * @module
 */
import { FlotillaError } from '../../core/errors/flotilla-error.ts';

const meanings: ReadonlyMap<string, string> = new Map([
  ['EACCES', 'permission denied'],
  ['EPERM', 'not permitted'],
  ['EROFS', 'the file system is read-only'],
  ['ENOENT', 'no such file or folder'],
  ['ENOTDIR', 'a part of the path is not a folder'],
  ['EISDIR', 'it is a folder'],
  ['EEXIST', 'it exists already'],
  ['ENOTEMPTY', 'the folder is not empty'],
  ['ENOSPC', 'the disk is full'],
  ['EDQUOT', 'the disk quota is used up'],
  ['EFBIG', 'the file is too large'],
  ['EMFILE', 'too many open files in this process'],
  ['ENFILE', 'too many open files on this machine'],
  ['ELOOP', 'too many symbolic links'],
  ['ENAMETOOLONG', 'the name is too long'],
  ['EIO', 'the disk reports a fault'],
  ['EBUSY', 'it is in use'],
  ['EXDEV', 'source and target are on different file systems'],
]);

/** Converts an error of a file operation to `file-inaccessible`; returns any other error unchanged. */
export function withCatalogueCode(error: unknown): unknown {
  if (error instanceof FlotillaError) return error;
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') {
    return error;
  }
  const meaning = meanings.get(error.code);
  if (meaning === undefined) return error;
  // An error of a file that is open already has no path.
  const path = 'path' in error && typeof error.path === 'string' ? `${error.path}: ` : '';
  return new FlotillaError('file-inaccessible', { detail: path + meaning });
}

/** The text of a cause: without the wording of the operating system where there is a better one. */
export function causeText(cause: Error): string {
  const known = withCatalogueCode(cause);
  return known instanceof FlotillaError && known !== cause
    ? (known.detail ?? known.message)
    : cause.message;
}
