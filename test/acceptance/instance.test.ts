/**
 * What the instances of the acceptance write to their console, by the script that does it: against the instance metadata
 * of a region, with programs that stand in for systemd and the AWS CLI, and read as the acceptance reads it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { parse } from "../../acceptance/console.ts";
import { aWorld } from "../../sim/world.ts";
import { missing } from "../packages/tools.ts";
import { inRegion } from "../support/region.ts";
import { eventually } from "../support/run.ts";
import { unless } from "../support/skipping.ts";

const SCRIPT = readFileSync(resolve(import.meta.dirname, "../../acceptance/instance.sh"), "utf8");
/** Looks, instead of 300. */
const LOOKS = 5;

test(
  "the states that change, what the heal has said, and how EC2 refuses",
  { ...unless(missing("bash", "curl")), timeout: 120_000 },
  async () => {
    const world = aWorld();
    const { instanceId } = world.instance({ lifecycle: "InService" });
    await inRegion(world, async (region, folder) => {
      region.region.hideLifecycle(instanceId);
      const recorder = new Recorder(folder, region.imdsUrl(instanceId));
      await recorder.nextLook();
      await recorder.nextLook();
      region.region.showLifecycle(instanceId);
      await recorder.nextLook();
      writeFileSync(join(folder, "healed"), "");
      await recorder.nextLook();
      await recorder.nextLook();
      const [boot, ...more] = parse(await recorder.end()).boots;
      expect(more).toEqual([]);
      const uptime: unknown = expect.any(Number);
      expect(boot?.states).toEqual([
        { uptime, status: "404", state: "" },
        { uptime, status: "200", state: "InService" },
      ]);
      expect(boot?.log).toEqual(["associated eipalloc-1 with here, 1 try, 6.4 s"]);
      const denied = (flag: string) =>
        `ec2 associate-address --region us-east-1 ${flag} --allocation-id eipalloc-2 --instance-id ${instanceId} is denied`;
      expect(boot?.denied).toEqual({
        "--dry-run": denied("--dry-run"),
        "--no-dry-run": denied("--no-dry-run"),
      });
    });
  },
);

test(
  "a heal that has not come to its end is told as systemd shows it",
  { ...unless(missing("bash", "curl")), timeout: 120_000 },
  async () => {
    const world = aWorld();
    const { instanceId } = world.instance();
    await inRegion(world, async (region, folder) => {
      const recorder = new Recorder(folder, region.imdsUrl(instanceId));
      for (let look = 0; look < LOOKS; look++) await recorder.nextLook();
      expect(parse(await recorder.end()).boots).toMatchObject([
        { states: [{ status: "404" }], log: ["ActiveState=failed Result=exit-code"], denied: {} },
      ]);
    });
  },
);

/** The part of instance.sh that runs at each boot; it waits between two looks until it is told to go on. */
class Recorder {
  readonly #folder: string;
  readonly #process: ChildProcess;

  constructor(folder: string, metadata: string) {
    this.#folder = folder;
    const [, recorder = ""] = /<<'RECORDER'\n(.*)^RECORDER$/ms.exec(SCRIPT) ?? [];
    const text = [
      ["http://169.254.169.254", metadata],
      ["/dev/console", join(folder, "console")],
      ["/run/eip-heal-acceptance", join(folder, "answer")],
      ["< 300", `< ${LOOKS}`],
      // However busy this machine is.
      ["--max-time 2 ", "--max-time 60 "],
      ["@REGION@", "us-east-1"],
      ["@SPARE@", "eipalloc-2"],
    ].reduce(
      (before, [from = "", to = ""]) => {
        expect(before).toContain(from);
        return before.replaceAll(from, to);
      },
      recorder.replaceAll(">/dev/console", ">>/dev/console"),
    );
    this.#program("sleep", `touch asleep; while [ -e asleep ]; do /bin/sleep 0.01; done`);
    this.#program(
      "systemctl",
      `[ "$1" = show ] && printf 'ActiveState=failed\\nResult=exit-code\\n' || [ -e healed ]`,
    );
    this.#program("journalctl", "echo associated eipalloc-1 with here, 1 try, 6.4 s");
    this.#program("aws", `echo "$* is denied" >&2; exit 254`);
    this.#program("recorder", text, "bash");
    this.#process = spawn(join(folder, "recorder"), {
      cwd: folder,
      env: { PATH: `${folder}:${process.env["PATH"]}` },
      stdio: "ignore",
    });
  }

  /** Waits until it has looked, and has it look once more. */
  async nextLook(): Promise<void> {
    const asleep = join(this.#folder, "asleep");
    await eventually("it has looked", () => existsSync(asleep), { everyMs: 5 });
    rmSync(asleep);
  }

  /** What it has written, once it has ended. */
  async end(): Promise<string> {
    if (this.#process.exitCode === null) await once(this.#process, "exit");
    return readFileSync(join(this.#folder, "console"), "utf8");
  }

  #program(name: string, text: string, shell = "sh"): void {
    writeFileSync(join(this.#folder, name), `#!/usr/bin/env ${shell}\n${text}\n`);
    chmodSync(join(this.#folder, name), 0o755);
  }
}
