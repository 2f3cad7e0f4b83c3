/**
 * What core-bench.ts and its thread of clients say to each other.
 *
 * @module
 */
export interface FrameSourceStart {
  readonly bells: SharedArrayBuffer;
  readonly toCore: SharedArrayBuffer;
  readonly toFront: SharedArrayBuffer;
  readonly clients: number;
  readonly qos: 0 | 1;
  readonly payloadBytes: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

export type FrameSourceReport =
  { readonly type: 'measuring' } | { readonly type: 'done'; readonly delivered: number };
