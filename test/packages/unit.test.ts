import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { BlockList, isIP } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { EXIT } from "../../src/model/failure.ts";
import { attempt, missing, read, SLOW } from "./tools.ts";

const UNIT = read("systemd/eip-heal.service");

/** All values of a directive, in order. */
function values(directive: string): string[] {
  return [...UNIT.matchAll(new RegExp(`^${directive}=(.*)$`, "gm"))].map(([, value = ""]) => value);
}

/** Runs a program on a copy of a unit whose program exists on this machine. */
function withUnit(
  unit: string,
  program: string,
  ...args: string[]
): { status: number | null; output: string } {
  const folder = mkdtempSync(join(tmpdir(), "eip-heal-unit-"));
  try {
    const path = join(folder, "eip-heal.service");
    writeFileSync(
      path,
      unit.replace("ExecStart=/usr/bin/eip-heal", `ExecStart=${process.execPath}`),
    );
    return attempt(program, ...args, path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe.skipIf(missing("systemd-analyze"))("systemd-analyze", () => {
  test("verify has nothing to say", { timeout: SLOW }, () => {
    expect(withUnit(UNIT, "systemd-analyze", "verify", "--man=no")).toEqual({
      status: 0,
      output: "",
    });
  });

  // What is left is the network that it needs, and user namespaces where a machine forbids them.
  test.each([
    ["1.0 at most", 10, UNIT],
    [
      "1.2 where the generator takes PrivateUsers= back",
      12,
      `${UNIT}\n[Service]\nPrivateUsers=no\n`,
    ],
    ["1.0 at most for the recheck", 10, read("systemd/eip-heal-recheck.service")],
  ])("security: exposure of %s", { timeout: SLOW }, (_, threshold, unit) => {
    const { status, output } = withUnit(
      unit,
      "systemd-analyze",
      "security",
      "--no-pager",
      "--offline=true",
      `--threshold=${threshold}`,
    );
    expect(status, output).toBe(0);
  });
});

describe("the unit", () => {
  test("restarts after what may pass, and after nothing else", () => {
    const passing: number[] = [EXIT.OK, EXIT.TEMPFAIL, EXIT.NOPERM];
    const lasting = Object.values(EXIT).filter((status) => !passing.includes(status));
    expect(values("RestartPreventExitStatus")).toEqual([lasting.join(" ")]);
    expect(values("Restart")).toEqual(["on-failure"]);
    expect(values("StartLimitIntervalSec")).toEqual(["0"]);
  });

  test("times out only after the longest deadline the program accepts, 1h", () => {
    expect(values("TimeoutStartSec")).toEqual(["65min"]);
  });

  test("holds nothing back, and is in no ordering cycle with cloud-init", () => {
    expect(values("DefaultDependencies")).toEqual(["no"]);
    expect(values("After").join(" ").split(" ").toSorted()).toEqual([
      "basic.target",
      "network-online.target",
      "sysinit.target",
    ]);
    expect(values("Before")).toEqual(["shutdown.target"]);
    expect(values("WantedBy")).toEqual(["multi-user.target"]);
  });

  test("may talk to every single address, and to no group of them", () => {
    expect(values("IPAddressDeny")).toEqual(["any"]);
    // One each: Node finds IPv4 addresses in ::/1 as well, which the kernel does not.
    const allowed = { ipv4: new BlockList(), ipv6: new BlockList() };
    const family = (address: string) => (isIP(address) === 6 ? "ipv6" : "ipv4");
    for (const range of values("IPAddressAllow").join(" ").split(" ")) {
      const [network = "", prefix] = range.split("/");
      allowed[family(network)].addSubnet(network, Number(prefix), family(network));
    }
    const isAllowed = (address: string) => allowed[family(address)].check(address, family(address));
    // Resolvers, instance metadata, private and public addresses, and EC2 behind NAT64.
    const single =
      "127.0.0.53 169.254.169.253 169.254.169.254 10.0.0.2 100.64.0.1 172.31.0.2 192.168.0.2 203.0.113.7 223.255.255.254 ::1 fe80::1 fd00:ec2::253 fd00:ec2::254 2600:1f18::1 64:ff9b::cb00:7107 fd12::1";
    expect(single.split(" ").filter((address) => !isAllowed(address))).toEqual([]);
    const groups =
      "224.0.0.1 224.0.0.251 239.255.255.250 240.0.0.1 255.255.255.255 ff02::1 ff02::fb ff0e::1";
    expect(groups.split(" ").filter(isAllowed)).toEqual([]);
  });

  test("leaves the settings file to the program, so that drop-ins go before it", () => {
    expect(values("EnvironmentFile")).toEqual([]);
  });
});

describe("the units of the recheck", () => {
  const recheck = read("systemd/eip-heal-recheck.service");
  const shared = "# The AWS SDK asks for the home directory";

  test("run in the same sandbox as the unit, to the letter", () => {
    const own = UNIT.slice(UNIT.indexOf(shared), UNIT.indexOf("[Install]")).trimEnd();
    expect(own).toContain("SystemCallFilter=");
    expect(recheck.slice(recheck.indexOf(shared)).trimEnd()).toBe(own);
  });

  test("are not started by anything but the timer, which nobody has enabled", () => {
    expect(recheck).not.toContain("[Install]");
    expect(read("systemd/eip-heal-recheck.timer")).toContain("WantedBy=timers.target");
  });
});
