/**
 * Calls of a library that sends HTTP requests and lets nobody end them: they are ended here, by time, by size and by a
 * signal. Node announces each request on a diagnostics channel, in the asynchronous context of the call that makes it,
 * and that is how the call's request is known.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe } from "node:diagnostics_channel";
import type { ClientRequest } from "node:http";

export interface Limits {
  /** Milliseconds for all of it, the body of the answer included. */
  readonly ms: number;
  /** Bytes of the answer, its headers included. */
  readonly maxBytes: number;
  /** Ends it when it is aborted. */
  readonly signal: AbortSignal;
}

/** A limit that a call has reached. */
export class LimitReached extends Error {
  readonly limit: "ms" | "maxBytes";

  constructor(limit: "ms" | "maxBytes") {
    super(`the limit of ${limit} is reached`);
    this.limit = limit;
  }
}

/** What was answered: the HTTP status, and what the call makes of it unless it refuses that. */
export interface Answer<T> {
  readonly status: number;
  readonly value?: T;
}

/**
 * Performs a call that sends one HTTP request. Afterwards nothing is left of the request, nor of its connection.
 *
 * @throws LimitReached, the signal's reason, or Node's own error if there was no complete answer
 */
export async function supervised<T>(call: () => Promise<T>, limits: Limits): Promise<Answer<T>> {
  const { ms, maxBytes, signal } = limits;
  signal.throwIfAborted();
  let sent: ClientRequest | undefined;
  let status: number | undefined;
  let trouble: Error | undefined;
  let cutOff: Error | undefined;
  const { promise, reject } = Promise.withResolvers<never>();
  const cut = (reason: Error) => reject((cutOff ??= reason));
  const note = (error: Error) => void (trouble ??= error);
  const watch = (request: ClientRequest) => {
    sent = request;
    request.once("error", note);
    request.once("response", (response) => {
      status = response.statusCode;
      response.once("error", note);
    });
    request.once("socket", (socket) => {
      let bytes = 0;
      socket.on("data", (chunk) => {
        bytes += chunk.length;
        if (bytes > maxBytes) cut(new LimitReached("maxBytes"));
      });
    });
    if (cutOff) request.destroy();
  };
  const onAbort = () => cut(signal.reason as Error);
  signal.addEventListener("abort", onAbort, { once: true });
  const timer = setTimeout(() => cut(new LimitReached("ms")), ms);
  try {
    const value = await Promise.race([watching.run(watch, call), promise]);
    return { status: status ?? 0, value };
  } catch (error) {
    // What the library throws has lost the error's code, and often the status too.
    if (cutOff ?? trouble) throw cutOff ?? trouble;
    if (status === undefined) throw error;
    return { status };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
    sent?.destroy();
    // The library has a pool of connections for each request, in which nobody would ever take this one up again.
    sent?.socket?.destroy();
  }
}

const watching = new AsyncLocalStorage<(request: ClientRequest) => void>();

subscribe("http.client.request.created", (message) => {
  watching.getStore()?.((message as { request: ClientRequest }).request);
});
