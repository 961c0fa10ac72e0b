/**
 * Limits response bodies before the SDK parses them. The parser works synchronously and takes forty times the memory of the
 * body; meanwhile neither the deadline nor SIGTERM is noticed.
 */
import type { Readable } from "node:stream";
import { OWN_CODE, Failure } from "../model/failure.ts";

/** Bytes. An answer about one resource is far smaller: an instance with 50 tags and 15 interfaces has about 60 KB. */
export const ONE_MAX_BYTES = 256 * 1024;
/** Bytes for each further instance. */
export const INSTANCE_MAX_BYTES = 64 * 1024;
/** Bytes for a pool: 10,000 addresses have about 8 MB. */
export const POOL_MAX_BYTES = 10 * 1024 * 1024;

/**
 * What makes a body expensive to parse, whatever its length: the number of elements (10,000 addresses have 360,000) and of
 * entities (they occur in tags), and the length of a single text (the longest is an encoded authorization message with a
 * few KB).
 */
const MAX_TAGS = 500_000;
const MAX_ENTITIES = 100_000;
const MAX_TEXT_BYTES = 64 * 1024;

/** The part of the SDK's HTTP handler that is used here. */
interface Handler<Request, Options> {
  handle(request: Request, options?: Options): Promise<{ response: { body?: unknown } }>;
}

/**
 * Makes the handler read each body completely, up to `maxBytes` in the options of the request.
 *
 * Requests then throw Failure `unreachable` for a longer body. A body that is expensive to parse is replaced by an empty
 * one, and so is one with a document type, for which the parser takes quadratic time and which AWS never sends.
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

/** Reads a body completely; undefined if it is longer than `maxBytes`. */
export async function readAtMost(body: Readable, maxBytes: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function readBounded(body: Readable, maxBytes: number): Promise<Uint8Array> {
  const all = await readAtMost(body, maxBytes);
  if (all === undefined) throw tooLong(maxBytes);
  const text = all.toString("latin1");
  return /<!doctype/i.test(text) || isDear(text) ? new Uint8Array() : all;
}

/** Whether parsing the text would take seconds, or hundreds of megabytes. */
function isDear(text: string): boolean {
  const parts = text.split("<", MAX_TAGS + 1);
  return (
    parts.length > MAX_TAGS ||
    parts.some((part) => part.length > MAX_TEXT_BYTES) ||
    text.split("&", MAX_ENTITIES + 1).length > MAX_ENTITIES
  );
}

function tooLong(maxBytes: number): Failure {
  const why = `the answer is longer than ${maxBytes / 1024} KB, which no answer of AWS to this is`;
  const isPool = maxBytes === POOL_MAX_BYTES;
  const remedy = isPool
    ? "does something else answer in its place, or has the pool more than 10,000 addresses?"
    : "does something else answer in its place (a proxy, a portal, another endpoint)?";
  return new Failure("unreachable", { why, remedy, code: OWN_CODE.notOfAws });
}
