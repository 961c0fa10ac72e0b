import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { describe, expect, test } from "vitest";
import { ALL_BUILT, missing, ROOT, SLOW, VERSION } from "./tools.ts";

describe.each(ALL_BUILT.map((built) => [built.arch, built] as const))(
  "binary for %s",
  (_, built) => {
    const { binary, emulator } = built;
    if (missing(binary, ...emulator.slice(0, 1))) {
      test.skip("not there", () => {});
      return;
    }
    const start = (args: string[], env: Record<string, string> = {}) => {
      const [program = "", ...rest] = [...emulator, binary, ...args];
      const { status, stdout, stderr } = spawnSync(program, rest, { encoding: "utf8", env });
      return { status, stdout, stderr };
    };

    // Node, and the loader of the bundle, would say on standard error that they reject the code cache.
    test("says its version and nothing else: its code cache is accepted", { timeout: SLOW }, () => {
      expect(start(["--version"])).toEqual({
        status: 0,
        stdout: `eip-heal ${VERSION}\n`,
        stderr: "",
      });
    });

    test("is not to be steered by NODE_OPTIONS", { timeout: SLOW }, () => {
      const environment = { NODE_OPTIONS: "--require=/nonexistent.cjs --inspect=0" };
      expect(start(["--version"], environment)).toEqual({
        status: 0,
        stdout: `eip-heal ${VERSION}\n`,
        stderr: "",
      });
    });

    test("tells nothing of where it was built", { timeout: SLOW }, () => {
      const bytes = readFileSync(binary);
      expect(bytes.includes(ROOT.replace(/\/$/, ""))).toBe(false);
      expect(bytes.includes("node_modules/@aws-sdk")).toBe(false);
      if (hostname().length > 5) expect(bytes.includes(hostname())).toBe(false);
      // The path of the loader, the one that Node keeps, is as seen from the build.
      expect(bytes.includes("../build/loader.cjs")).toBe(true);
    });
  },
);
