/** Sends an answer the way the verdict of the faults wants it sent. Common to both services. */

import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";

import type { Verdict } from "./faults.ts";

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The status that a request without any answer is recorded with. */
export const NO_ANSWER = 0;

const OVERLONG = 64 * 1024 * 1024;
const HTML =
  "<!DOCTYPE html>\n<html><head><title>Welcome</title></head><body><h1>Please log in</h1></body></html>\n";

/** The whole body of a request. */
export async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/**
 * Answers a request: `work` says what the right answer is, the verdict whether it is asked, when, and what is sent.
 * Returns the status that went out.
 */
export async function answer(
  response: ServerResponse,
  verdict: Verdict,
  latencyMs: number,
  work: () => Answer,
): Promise<number> {
  await verdict.letGo;
  await pause(verdict.beforeMs + latencyMs);
  const instead = insteadOfWork(verdict.effect);
  if (instead === "nothing") return NO_ANSWER;
  if (instead === "reset" || instead === "hang-up") return breakOff(response, instead);
  if (verdict.effect?.do === "overlong") {
    const { bytes = OVERLONG, of = "x" } = verdict.effect;
    return flood(response, bytes, of);
  }
  const right = rewritten(instead ?? work(), verdict.effect);
  await pause(verdict.afterMs);
  if (verdict.effect?.do === "lose-answer") {
    return verdict.effect.how === "reset" ? breakOff(response, "reset") : NO_ANSWER;
  }
  response.writeHead(right.status, {
    ...right.headers,
    "content-length": Buffer.byteLength(right.body),
  });
  if (verdict.effect?.do === "stall") {
    response.write(right.body.slice(0, Math.max(1, Math.floor(right.body.length / 2))));
    return right.status;
  }
  response.end(right.body);
  return right.status;
}

// --- internal ---

function insteadOfWork(
  effect: Verdict["effect"],
): Answer | "nothing" | "reset" | "hang-up" | undefined {
  switch (effect?.do) {
    case "silence":
      return "nothing";
    case "reset":
    case "hang-up":
      return effect.do;
    case "status":
      return {
        status: effect.status,
        headers: { "content-type": "text/html", ...effect.headers },
        body: effect.body ?? "",
      };
    case "html":
      return { status: 200, headers: { "content-type": "text/html" }, body: HTML };
    case "garbage":
      return {
        status: 200,
        headers: { "content-type": "text/xml;charset=UTF-8" },
        body: "\u0000\u0001<<&&\ufffd}{\u0007 not for you",
      };
    default:
      return undefined;
  }
}

function rewritten(right: Answer, effect: Verdict["effect"]): Answer {
  return effect?.do === "rewrite" ? { ...right, body: effect.body(right.body) } : right;
}

function breakOff(response: ServerResponse, how: "reset" | "hang-up"): number {
  if (how === "reset") response.socket?.resetAndDestroy();
  else response.socket?.destroy();
  return NO_ANSWER;
}

/** A body without end for anybody who reads it whole; it stops when the reader hangs up. */
async function flood(response: ServerResponse, bytes: number, of: string): Promise<number> {
  response.writeHead(200, { "content-type": "text/plain" });
  await pipeline(Readable.from(filler(bytes, of)), response).catch(() => undefined);
  return 200;
}

function* filler(bytes: number, of: string): Iterable<string> {
  const chunk = of.repeat(Math.ceil((64 * 1024) / of.length));
  for (let left = bytes; left > 0; left -= chunk.length)
    yield left < chunk.length ? chunk.slice(0, left) : chunk;
}

async function pause(ms: number): Promise<void> {
  if (ms > 0) await sleep(ms);
}
