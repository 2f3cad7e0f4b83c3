/**
 * Responses that do not end by themselves: the feed, events.
 *
 * @module
 */
import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import type { RawResponse } from './raw-route.ts';

/** Pipes a stream that does not end. When one side closes, the other is closed too. */
export function sendEndless(
  reply: FastifyReply,
  { status = 200, type, headers = {}, body }: RawResponse,
): FastifyReply {
  if (!(body instanceof Readable)) throw new Error('an endless response needs a stream');
  const response = reply.raw;
  reply.hijack();
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store', ...headers });
  response.flushHeaders();
  body.pipe(response);
  response.once('close', () => body.destroy());
  body.once('close', () => {
    // When the stream has ended, the pipe ends the response after the remaining data.
    if (!body.readableEnded) response.destroy();
  });
  return reply;
}
