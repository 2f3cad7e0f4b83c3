/**
 * Which state of the registry a broker knows. With it, the enrollment service notices that its registry was
 * restored from a backup that is older than what a broker knows, and the broker keeps what it knows to be revoked.
 *
 * A broker with the feature `generation` sends what it knows with its request for the feed
 * (`registry`, `run`, `commit`, `started`); the service answers in `hello`.
 *
 * @module
 */
import { z } from 'zod';

const id = z.string().min(1).max(64);
const number = z.int().min(0);

/** The newest state of a registry that a broker has. */
export const knownGenerationSchema = z.strictObject({
  /** The id of the registry. */
  registry: id,
  /** The run of the service; it is the epoch of the feed. */
  run: id,
  /** The newest commit. */
  commit: number,
  /** When the run began, in ms since 1970. */
  startedAtMs: number,
});
export type KnownGeneration = z.infer<typeof knownGenerationSchema>;

/** What `hello` says of the registry. Its run is the epoch. */
export const helloGenerationSchema = z.strictObject({
  registry: id,
  commit: number,
  startedAtMs: number,
  /**
   * The broker knows changes that the registry does not have. `sinceMs`: when the registry began without them, by
   * the clock of the service. Identities and certificates that are newer were created by the restored service.
   */
  behind: z.strictObject({ sinceMs: number }).optional(),
});
export type HelloGeneration = z.infer<typeof helloGenerationSchema>;
