/**
 * The bodies of answers, bounded before the SDK's parser sees them. It parses a body in one go, with forty times the memory,
 * and while it does neither the deadline nor SIGTERM is heard.
 */
import type { Readable } from "node:stream";
import { Failure, NOT_OF_AWS } from "../model/failure.ts";

/** Bytes that the answer about one thing is far below: an instance with 50 tags and 15 interfaces has about 60 KB. */
export const ONE_MAX_BYTES = 256 * 1024;
/** For each further instance. */
export const INSTANCE_MAX_BYTES = 64 * 1024;
/** For a pool: 10,000 addresses have about 8 MB. */
export const POOL_MAX_BYTES = 16 * 1024 * 1024;

/** The part of the SDK's HTTP handlers that matters here. */
interface Handler<Request, Options> {
  handle(request: Request, options?: Options): Promise<{ response: { body?: unknown } }>;
}

/**
 * Reads the bodies for the handler, of which `maxBytes` in the options of a request is the limit.
 *
 * The requests then throw Failure `unreachable` for a body that is longer. One with a document type is empty: AWS sends
 * none, and the parser takes quadratic time for them.
 */
export function boundBodies<Request, Options>(handler: Handler<Request, Options>): void {
  const handle = handler.handle.bind(handler);
  handler.handle = async (request, options) => {
    const { maxBytes = ONE_MAX_BYTES } = (options ?? {}) as { maxBytes?: number };
    const answer = await handle(request, options);
    const { response } = answer;
    response.body = await readBounded(response.body as Readable, maxBytes);
    return answer;
  };
}

async function readBounded(body: Readable, maxBytes: number): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) {
      const why = `the answer is longer than ${maxBytes / 1024} KB`;
      throw new Failure("unreachable", { why, code: NOT_OF_AWS });
    }
    chunks.push(chunk);
  }
  const all = Buffer.concat(chunks);
  return /<!doctype/i.test(all.toString("latin1")) ? new Uint8Array() : all;
}
