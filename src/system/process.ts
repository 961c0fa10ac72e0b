/** Sets up this process: environment variables, its name, globals, signals. */
import { writeFileSync } from "node:fs";
// As an ES module it evaluates all that it exports, WebSocket too, which needs the global that is deleted below. Instance
// metadata is read by it anyway.
import "node:http";
import { watchOutput } from "./output.ts";

/** Makes Node behave the same in every environment. Has to be called before anything else. */
export function prepareProcess(): void {
  // Of Node's own variables only NODE_EXTRA_CA_CERTS is documented; the others must not change what we do.
  for (const name of Object.keys(process.env)) {
    if (name.startsWith("NODE_") && name !== "NODE_EXTRA_CA_CERTS") delete process.env[name];
  }
  // Shown by ps, top and systemctl; Node sets it to "MainThread". process.title would replace the arguments as well.
  try {
    writeFileSync("/proc/self/comm", "eip-heal");
  } catch {
    // It is only a name.
  }
  // The SDK tests `body instanceof ReadableStream`, and touching that global loads all of Node's web streams. We use none.
  Reflect.deleteProperty(globalThis, "ReadableStream");
  watchOutput();
}

/**
 * A signal that is aborted by whatever asks a process to end, with an Error that says which. By default a lost terminal
 * (SIGHUP) and Ctrl-\ (SIGQUIT) would leave the result of the run before.
 */
export function stopSignal(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"] as const) {
    process.once(signal, () => stop.abort(new Error(`stopped by ${signal}`)));
  }
  return stop.signal;
}
