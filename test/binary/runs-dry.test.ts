/** An event loop that runs dry ends a process with its exit code of the moment, whatever is still to be done. */
import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { expect, test } from "vitest";

const MAIN = resolve(import.meta.dirname, "../../src/main.ts");
/** Nothing keeps the process alive: requests never get a connection, and no timer is waited for. */
const NOTHING_LASTS = `data:text/javascript,
  import http from "node:http";
  http.Agent.prototype.addRequest = () => {};
  const { setTimeout } = globalThis;
  globalThis.setTimeout = (...args) => setTimeout(...args).unref();`;

test.each(["heal", "recheck", "release", "status", "doctor", "policy"])(
  "%s whose event loop runs dry is a bug and no success",
  (command) => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ["--import", NOTHING_LASTS.replaceAll(/\s+/g, " "), MAIN, "--config", "/dev/null", command],
      {
        encoding: "utf8",
        env: {
          AWS_EC2_METADATA_SERVICE_ENDPOINT: "http://127.0.0.1:9",
          RUNTIME_DIRECTORY: "/nonexistent",
        },
      },
    );
    expect(status, stderr).toBe(70);
    expect(stdout).not.toContain("associated");
  },
);
