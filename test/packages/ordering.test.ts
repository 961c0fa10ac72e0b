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
  readFileSync,
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
/** Of this system's cloud-init, as cloud-init.sh unpacks it. */
const PACKAGE =
  [SYSTEM, "lib/systemd/system"]
    .map((folder) => `.tools/cloud-init/${folder}`)
    .find((folder) => existsSync(`${ROOT}${folder}/cloud-final.service`)) ??
  ".tools/cloud-init/lib";
/** What cloud-init.sh makes of upstream's source: units/SUITE/FAMILY. */
const UPSTREAM = ".tools/cloud-init/units";

/** Units by their names. */
type Units = Readonly<Record<string, string>>;

/**
 * The families as upstream's templates know them. What Amazon, Red Hat, SUSE and Canonical patch on top is not in here:
 * Amazon Linux 2023, for one, has 22.2.2 with patches of its own.
 */
const FAMILIES = ["amazon", "fedora", "rhel", "suse", "debian", "ubuntu"];
/** Version 24.3 made one process of four, and renamed the unit of the network stage. */
const GENERATIONS = [
  { versions: "before 24.3", network: "cloud-init.service" },
  { versions: "since 24.3", network: "cloud-init-network.service" },
];

const cloudInitUnits = (folder: string): Units =>
  Object.fromEntries(
    globSync("cloud-*.{service,socket,target}", { cwd: folder }).map((name) => [
      name,
      readFileSync(join(folder, name), "utf8"),
    ]),
  );

/** The folder with the units of a family, of the first suite whose cloud-init is of that generation. */
function upstreams(family: string, network: string): string | undefined {
  return globSync(`${ROOT}${UPSTREAM}/*/${family}`)
    .toSorted()
    .find((folder) => existsSync(join(folder, network)));
}

/** As docs/operate.md has it. */
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

interface Row {
  readonly title: string;
  /** Where its units are. */
  readonly folder: string | undefined;
  /** Why they may not be there. */
  readonly without: string | undefined;
}

const ROWS: readonly Row[] = [
  {
    title: "by this system's package",
    folder: `${ROOT}${PACKAGE}`,
    without: withoutCloudInit(PACKAGE),
  },
  ...GENERATIONS.flatMap(({ versions, network }) =>
    FAMILIES.map((family) => {
      const folder = upstreams(family, network);
      const without =
        folder === undefined
          ? `cloud-init.sh has found no source of a version ${versions}`
          : undefined;
      return { title: `of ${family}, ${versions}`, folder, without };
    }),
  ),
];

describe("a boot with cloud-init", unless(missing("systemd-analyze")), () => {
  describe.each(ROWS)("$title", ({ folder = "", without }) => {
    const options = { ...unless(without), timeout: SLOW };

    test("has no cycle, with a service that needs the address", options, () => {
      const units = { ...cloudInitUnits(folder), ...OWN, "my-server.service": NEEDS_ADDRESS };
      expect(cyclesIn(units)).toEqual([]);
    });

    test(
      "would have one if multi-user.target waited for a heal that waits for cloud-init",
      options,
      () => {
        const waits = (OWN["eip-heal.service"] ?? "")
          .replace("DefaultDependencies=no", "")
          .replace(/^After=network-online.target$/m, "$& cloud-init.target");
        const cycles = cyclesIn({ ...cloudInitUnits(folder), ...OWN, "eip-heal.service": waits });
        expect(cycles.join("\n")).toMatch(/Found ordering cycle on/);
      },
    );

    test("would have one if cloud-init waited for the heal", options, () => {
      const first = (OWN["eip-heal.service"] ?? "").replace(
        /^Before=shutdown.target$/m,
        "$& cloud-init-local.service",
      );
      const cycles = cyclesIn({ ...cloudInitUnits(folder), ...OWN, "eip-heal.service": first });
      expect(cycles.join("\n")).toMatch(/Found ordering cycle on/);
    });
  });
});
