/** The generator, with this machine's own files hidden behind others: what it reads has no other name. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { unless } from "../support/skipping.ts";
import { attempt, missing, ROOT } from "./tools.ts";

const GENERATOR = `${ROOT}systemd/eip-heal-generator`;
const LIMIT = "/proc/sys/user/max_user_namespaces";
const FOLDERS = ["/etc/sysctl.d", "/usr/lib/sysctl.d"];
const UNITS = ["eip-heal.service", "eip-heal-recheck.service"];

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "eip-heal-generator-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

interface Machine {
  /** What the kernel allows now. */
  readonly limit?: string;
  /** Contents of a file in /etc/sysctl.d, or in /usr/lib/sysctl.d. */
  readonly etc?: string;
  readonly vendor?: string;
  readonly kernelCommandLine?: string;
}

/** Runs it on such a machine; the drop-ins that it has written, by unit. */
function generate({ limit = "96365", etc, vendor, kernelCommandLine = "quiet" }: Machine) {
  const hide: string[] = [];
  const behind = (path: string, text: string) => {
    const file = join(folder, path.replaceAll("/", "-"));
    writeFileSync(file, text);
    hide.push(`mount --bind '${file}' '${path}'`);
  };
  behind(LIMIT, `${limit}\n`);
  behind("/proc/cmdline", `${kernelCommandLine}\n`);
  FOLDERS.forEach((path, index) => {
    const text = [etc, vendor][index];
    const stand = join(folder, `sysctl${index}`);
    mkdirSync(stand);
    if (text !== undefined) writeFileSync(join(stand, "50-some.conf"), text);
    hide.push(`[ ! -d ${path} ] || mount --bind '${stand}' ${path}`);
  });
  const out = join(folder, "out");
  const script = `set -e; ${hide.join("; ")}; exec ${GENERATOR} '${out}' '${out}.early' '${out}.late'`;
  expect(attempt("unshare", "--mount", "sh", "-c", script)).toEqual({ status: 0, output: "" });
  return UNITS.map((unit) => {
    const file = join(out, `${unit}.d/10-user-namespaces.conf`);
    return existsSync(file) ? readFileSync(file, "utf8").split("\n").slice(1).join(" ") : "";
  });
}

const NOTHING = ["", ""];
const TAKEN_BACK = ["[Service] PrivateUsers=no ", "[Service] PrivateUsers=no "];

const refused =
  missing("unshare") ?? (process.getuid?.() === 0 ? undefined : "only root can mount");

describe("eip-heal-generator", unless(refused), () => {
  test.each<[string, Machine, string[]]>([
    ["user namespaces are allowed", {}, NOTHING],
    ["they are forbidden now", { limit: "0" }, TAKEN_BACK],
    ["they will be", { etc: "user.max_user_namespaces = 0\n" }, TAKEN_BACK],
    ["by a file of the distribution", { vendor: "user.max_user_namespaces=0\n" }, TAKEN_BACK],
    ["with a slash", { etc: "user/max_user_namespaces=0\n" }, TAKEN_BACK],
    ["by a pattern", { etc: "-user.max_*_namespaces = 0\n" }, TAKEN_BACK],
    [
      "by the kernel's command line",
      { kernelCommandLine: "ro sysctl.user.max_user_namespaces=0" },
      TAKEN_BACK,
    ],
    ["a comment says so", { etc: "# user.max_user_namespaces = 0\n" }, NOTHING],
    ["they are limited", { etc: "user.max_user_namespaces = 10\n" }, NOTHING],
    ["something else is forbidden", { etc: "net.ipv4.ip_forward = 0\n" }, NOTHING],
  ])("%s", (_, machine, expected) => {
    expect(generate(machine)).toEqual(expected);
  });
});
