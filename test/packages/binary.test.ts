import { execFile, spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { promisify } from "node:util";
import { parseAst } from "rolldown/parseAst";
import { describe, expect, test } from "vitest";
import { HOOK_ROLE } from "../../sim/iam.ts";
import { aWorld } from "../../sim/world.ts";
import { inRegion } from "../support/region.ts";
import { unless } from "../support/skipping.ts";
import { ALL_BUILT, missing, read, ROOT, run, SLOW, VERSION } from "./tools.ts";

const hex = (address: number) => `0x${address.toString(16)}`;

describe.each(ALL_BUILT.map((built) => [built.arch, built] as const))(
  "binary for %s",
  (_, built) => {
    const { binary, emulator } = built;
    const absent = missing(binary, ...emulator.slice(0, 1));
    if (absent !== undefined) {
      test("not there", unless(absent), () => {});
      return;
    }
    const start = (args: string[], env: Record<string, string> = {}) => {
      const [program = "", ...rest] = [...emulator, binary, ...args];
      const { status, stdout, stderr } = spawnSync(program, rest, { encoding: "utf8", env });
      return { status, stdout, stderr };
    };

    // Node would say on standard error that it rejects the snapshot.
    test("says its version and nothing else", { timeout: SLOW }, () => {
      expect(start(["--version"])).toEqual({
        status: 0,
        stdout: `eip-heal ${VERSION}\n`,
        stderr: "",
      });
    });

    const [qemu, cpu, ...libraries] =
      built.arch === "arm64"
        ? ["qemu-aarch64-static", "cortex-a72", ...emulator.slice(1)]
        : ["qemu-x86_64-static", "qemu64"];
    test(
      "so it does on a CPU that can do less than the one that it was built on",
      { ...unless(missing(qemu)), timeout: SLOW },
      () => {
        const args = ["-cpu", cpu, ...libraries, binary, "--version"];
        expect(spawnSync(qemu, args, { encoding: "utf8", env: {} })).toMatchObject({
          status: 0,
          stdout: `eip-heal ${VERSION}\n`,
          stderr: "",
        });
      },
    );

    test("each of its segments can be mapped, page by page", unless(missing("readelf")), () => {
      // Kernels for arm64 have pages of up to 64 KiB, that of RHEL 8 for one.
      const page = built.arch === "arm64" ? 65_536 : 4_096;
      const segments = [
        ...run("readelf", "-lW", binary).matchAll(/^ +LOAD +(0x[0-9a-f]+) (0x[0-9a-f]+) /gm),
      ].map(([, offset, address]) => [Number(offset), Number(address)] as const);
      expect(segments.length).toBeGreaterThan(2);
      for (const [offset, address] of segments)
        expect(address % page, hex(address)).toBe(offset % page);
    });

    test("is not to be steered by NODE_OPTIONS", { timeout: SLOW }, () => {
      const environment = { NODE_OPTIONS: "--require=/nonexistent.cjs --inspect=0" };
      expect(start(["--version"], environment)).toEqual({
        status: 0,
        stdout: `eip-heal ${VERSION}\n`,
        stderr: "",
      });
    });

    // An emulator starts it by another name.
    if (emulator.length === 0)
      test(
        "nor by the name that it is called by, which Node would take for an option",
        { timeout: SLOW },
        () => {
          for (const argv0 of [
            "--require=/nonexistent.cjs",
            "--inspect=0",
            "--version",
            "-v",
            "--help",
          ])
            expect(
              spawnSync(binary, ["--version"], { encoding: "utf8", env: {}, argv0 }),
            ).toMatchObject({
              status: 0,
              stdout: `eip-heal ${VERSION}\n`,
              stderr: "",
            });
        },
      );

    test(
      "so is that of the client of Auto Scaling, once it is loaded",
      { timeout: SLOW },
      async () => {
        const world = aWorld();
        world.role("hook", HOOK_ROLE);
        world.group("web", { name: "launch" });
        const { allocationId } = world.address();
        const tags = { "allocation-id": allocationId };
        const me = world.instance({ group: "web", role: "hook", tags, metadataTags: true });
        world.hold({ allocationId }, me);
        await inRegion(world, async (region, folder) => {
          region.region.waitUnderHook(me.instanceId, "launch");
          const [program, ...args] = [...emulator, binary, "--config", "/dev/null"];
          const { stderr } = await promisify(execFile)(program, args, {
            env: {
              RUNTIME_DIRECTORY: folder,
              AWS_EC2_METADATA_SERVICE_ENDPOINT: region.imdsUrl(me.instanceId),
              AWS_ENDPOINT_URL_EC2: region.ec2Url,
              AWS_ENDPOINT_URL_AUTO_SCALING: region.autoScalingUrl,
              EIP_HEAL_LIFECYCLE_HOOK: "launch",
            },
          });
          expect(stderr.trimEnd().split("\n")).toEqual([
            expect.stringContaining("is already associated with"),
            "completed the lifecycle hook launch of web with CONTINUE",
          ]);
        });
      },
    );

    test("tells nothing of where it was built", { timeout: SLOW }, () => {
      const bytes = readFileSync(binary);
      expect(bytes.includes(ROOT.replace(/\/$/, ""))).toBe(false);
      expect(bytes.includes("node_modules/@aws-sdk")).toBe(false);
      if (hostname().length > 5) expect(bytes.includes(hostname())).toBe(false);
      // The path that Node keeps is as seen from the build.
      expect(bytes.includes("/proc/self/cwd/build/snapshot.cjs")).toBe(true);
    });
  },
);

test(
  "who has no lifecycle hook does not load the client of Auto Scaling",
  unless(missing(`${ROOT}dist/bundle/eip-heal.cjs`)),
  () => {
    // The namespace of its schemas; the names of its actions are in what eip-heal policy prints, too.
    const ofAutoScaling = /com\.amazonaws\.autoscaling/;
    expect(read("dist/bundle/eip-heal.cjs")).not.toMatch(ofAutoScaling);
    expect(read("dist/bundle/auto-scaling-api.cjs")).toMatch(ofAutoScaling);
  },
);

test(
  "nothing in the bundle asks for fetch, or for anything else that Node does by WebAssembly",
  unless(missing(`${ROOT}dist/bundle/eip-heal.cjs`)),
  () => {
    const files = readdirSync(`${ROOT}dist/bundle`);
    expect(files).toContain("sdk.cjs");
    for (const file of files) {
      const names = namesIn(parseAst(read(`dist/bundle/${file}`), { lang: "js" }));
      if (file === "sdk.cjs") expect(names).toContain("exports");
      expect(
        names.filter((name) => BY_WEBASSEMBLY.has(name)),
        file,
      ).toEqual([]);
    }
  },
);

/** There is no WebAssembly where V8 makes no machine code, and so no fetch; the others load the same part of Node. */
const BY_WEBASSEMBLY = new Set([
  "WebAssembly",
  "fetch",
  "Request",
  "Response",
  "Headers",
  "FormData",
  "WebSocket",
  "CloseEvent",
  "EventSource",
]);

/** The names of all variables and properties in a program. */
function namesIn(node: unknown): string[] {
  if (typeof node !== "object" || node === null) return [];
  const below = Object.values(node).flatMap(namesIn);
  return "type" in node && node.type === "Identifier" && "name" in node
    ? [String(node.name), ...below]
    : below;
}
