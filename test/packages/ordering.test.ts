/**
 * The order of a boot with cloud-init in it, of every family: there is no cycle, which systemd would break by silently
 * dropping a job. By systemd itself, on the units of an image that is not booted.
 */
import {
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { unless } from "../support/skipping.ts";
import { attempt, missing, read, ROOT, SLOW, withoutCloudInit } from "./tools.ts";

const SYSTEM = "usr/lib/systemd/system";
/** Of Debian's cloud-init, as "make .tools/.cloud-init" unpacks it. */
const DEBIAN = ".tools/cloud-init/lib/systemd/system";

/** Units by their names. */
type Units = Readonly<Record<string, string>>;

/** A unit of cloud-init with nothing but its place in the order. */
const unit = (order: string, wantedBy = "") =>
  `[Unit]\n${order}\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n` +
  (wantedBy === "" ? "" : `[Install]\nWantedBy=${wantedBy}\n`);

/** What all families have in common: cloud-init-local, the network, cloud-init, online, cloud-config, cloud-final. */
const late = (final: string): Units => ({
  "cloud-config.service": unit(
    "After=network-online.target cloud-config.target\nWants=network-online.target cloud-config.target",
    "cloud-init.target",
  ),
  "cloud-final.service": unit(
    `After=network-online.target cloud-config.service rc-local.service ${final}\nWants=network-online.target cloud-config.service`,
    "cloud-init.target",
  ),
  "cloud-config.target": "[Unit]\nWants=cloud-init-local.service\nAfter=cloud-init-local.service\n",
  "cloud-init.target": "[Unit]\nAfter=multi-user.target\n",
});

const FAMILIES: readonly (readonly [name: string, units: Units])[] = [
  [
    "Amazon Linux, Fedora and RHEL",
    {
      ...late("time-sync.target"),
      "cloud-init-local.service": unit(
        "DefaultDependencies=no\nWants=network-pre.target\nAfter=systemd-remount-fs.service\nBefore=NetworkManager.service systemd-networkd.service network-pre.target shutdown.target\nConflicts=shutdown.target",
        "cloud-init.target",
      ),
      "cloud-init.service": unit(
        "Wants=cloud-init-local.service sshd-keygen.service sshd.service\nAfter=cloud-init-local.service NetworkManager-wait-online.service systemd-networkd-wait-online.service\nBefore=network-online.target sshd-keygen.service sshd.service systemd-user-sessions.service",
        "cloud-init.target",
      ),
    },
  ],
  [
    "Ubuntu",
    {
      ...late("multi-user.target time-sync.target"),
      "cloud-init-local.service": unit(
        "DefaultDependencies=no\nWants=network-pre.target\nBefore=network-pre.target sysinit.target shutdown.target\nConflicts=shutdown.target",
        "cloud-init.target",
      ),
      // Called cloud-init.service before version 24.3.
      "cloud-init-network.service": unit(
        "DefaultDependencies=no\nWants=cloud-init-local.service sshd.service\nAfter=cloud-init-local.service systemd-networkd-wait-online.service networking.service\nBefore=network-online.target sysinit.target sshd.service systemd-user-sessions.service shutdown.target\nConflicts=shutdown.target",
        "cloud-init.target",
      ),
    },
  ],
];

/** Those of Debian's package. */
const ofDebian = (): Units =>
  Object.fromEntries(
    readdirSync(`${ROOT}${DEBIAN}`)
      .filter((name) => /^cloud-[a-z-]+\.(service|target)$/.test(name))
      .map((name) => [name, read(`${DEBIAN}/${name}`)]),
  );

/** As the README has it. */
const NEEDS_ADDRESS = `[Unit]
Requires=eip-heal.service
After=eip-heal.service multi-user.target
[Service]
ExecStart=/bin/true
[Install]
WantedBy=multi-user.target eip-heal.service
`;
const OWN = Object.fromEntries(
  readdirSync(`${ROOT}systemd`).map((name) => [name, read(`systemd/${name}`)]),
);

/** What systemd says of cycles in a boot with these units, in which all are enabled that can be. */
function cyclesIn(units: Units): string[] {
  const root = mkdtempSync(join(tmpdir(), "eip-heal-order-"));
  try {
    const folder = join(root, SYSTEM);
    const wanted = join(root, "etc/systemd/system/multi-user.target.wants");
    for (const one of [folder, wanted]) mkdirSync(one, { recursive: true });
    // The targets of this machine's systemd, and what a network is waited for by.
    for (const file of globSync(`/usr/lib/systemd/system/{*.target,systemd-networkd*.service}`))
      if (!existsSync(join(folder, basename(file))))
        copyFileSync(file, join(folder, basename(file)));
    for (const [name, text] of Object.entries(units)) writeFileSync(join(folder, name), text);
    // By a generator, on all families.
    symlinkSync(`/${SYSTEM}/cloud-init.target`, join(wanted, "cloud-init.target"));
    const services = Object.keys(units).filter((name) => units[name]?.includes("[Install]"));
    const enabled = attempt("systemctl", `--root=${root}`, "enable", ...services);
    expect(enabled.status, enabled.output).toBe(0);
    const { output } = attempt(
      "systemd-analyze",
      "verify",
      "--man=no",
      `--root=${root}`,
      "multi-user.target",
    );
    return output.split("\n").filter((line) => /cycle|deleted to break/i.test(line));
  } finally {
    rmSync(root, { recursive: true });
  }
}

describe("a boot with cloud-init as on", unless(missing("systemd-analyze")), () => {
  describe.each([
    ...FAMILIES.map(([name, units]) => ({ name, units: () => units, without: undefined })),
    { name: "Debian, by its package", units: ofDebian, without: withoutCloudInit(DEBIAN) },
  ])("$name", ({ units, without }) => {
    const options = { ...unless(without), timeout: SLOW };

    test("has no cycle", options, () => {
      expect(cyclesIn({ ...units(), ...OWN })).toEqual([]);
    });

    test("nor one with a service that needs the address", options, () => {
      expect(cyclesIn({ ...units(), ...OWN, "my-server.service": NEEDS_ADDRESS })).toEqual([]);
    });
  });

  test(
    "Ubuntu would have one, with the dependencies that services have by default",
    {
      timeout: SLOW,
    },
    () => {
      const [, units] = FAMILIES[1] ?? [];
      const broken = (OWN["eip-heal.service"] ?? "")
        .replace("DefaultDependencies=no", "")
        .replace(
          /^After=network-online.target$/m,
          "After=network-online.target cloud-final.service",
        );
      const cycles = cyclesIn({ ...units, ...OWN, "eip-heal.service": broken });
      expect(cycles.join("\n")).toMatch(/Found ordering cycle on/);
    },
  );
});
