/** What there is of eip-heal on a machine, and what it has done: asked after each step of its life. */
import { type Cloud, UNIT } from "../support/machine/cloud.ts";
import type { Machine } from "../support/machine/machine.ts";

/** Whom one can ask: a container or a virtual machine. */
type Guest = Pick<Machine, "must" | "exec" | "sh" | "show">;

export interface State {
  /** The version that is installed; undefined: none, or only its configuration is left. */
  readonly version: string | undefined;
  /** As `systemctl is-enabled` says it: enabled, disabled, masked, …; not-found: there is no such unit. */
  readonly unit: string;
  /** As `systemctl is-active` says it. */
  readonly active: string;
  /** How often AssociateAddress has been called, ever. */
  readonly associations: number;
  /** Files about eip-heal that are not the package's, apart from the package manager's own records. */
  readonly left: readonly string[];
}

/** How a package manager tells what is installed. */
export interface Manager {
  /** Prints the version, or fails. */
  readonly version: readonly string[];
  /** Prints the package's files, or fails. */
  readonly files: readonly string[];
}

export const DPKG: Manager = {
  // "i" only: a package that is removed but not purged has a version too.
  version: [
    "sh",
    "-c",
    "dpkg-query -W -f '${db:Status-Abbrev}${Version}' eip-heal | sed -n 's/^ii *//p' | grep .",
  ],
  files: ["dpkg-query", "--listfiles", "eip-heal"],
};

export const RPM: Manager = {
  version: ["rpm", "--query", "--queryformat", "%{VERSION}\n", "eip-heal"],
  files: ["rpm", "--query", "--list", "eip-heal"],
};

/** The link that enables the unit. */
export const WANTED = "/etc/systemd/system/multi-user.target.wants/eip-heal.service";
/** What deb-systemd-helper keeps to know an administrator's "disable" from never having been enabled. */
export const HELPER = [
  "/var/lib/systemd/deb-systemd-helper-enabled/eip-heal.service.dsh-also",
  "/var/lib/systemd/deb-systemd-helper-enabled/multi-user.target.wants/eip-heal.service",
];
/** What a run leaves until the next boot, for other programs to read. */
export const RESULTS = ["/run/eip-heal", "/run/private/eip-heal"];

/** Records of package managers and of systemd, and what the tests themselves have put there. */
const NOT_LEFT =
  /^\/(var\/(lib\/(dpkg|apt|rpm|dnf)|cache|log)|run\/systemd|etc\/(apt|yum\.repos\.d)|usr\/share\/keyrings)\/|\/systemd-private-|\/eip-heal-test-ca\.pem$/;

export async function stateOf(machine: Guest, cloud: Cloud, manager: Manager): Promise<State> {
  const found = await machine.exec([...manager.version]);
  const version = found.status === 0 ? found.stdout.trim() : undefined;
  const owned = version === undefined ? "" : await machine.must([...manager.files]);
  // Both places of a system on which /lib is a link.
  const files = new Set(
    owned.split("\n").flatMap((file) => [file, file.replace(/^\/lib\//, "/usr/lib/")]),
  );
  return {
    version,
    ...(await unitOf(machine)),
    associations: cloud.associations().length,
    left: (await namedAfterIt(machine)).filter((path) => !files.has(path) && !NOT_LEFT.test(path)),
  };
}

/** All files whose name is about it, sorted. */
async function namedAfterIt(machine: Guest): Promise<string[]> {
  const found = await machine.sh("find / /run /tmp /dev/shm -xdev -name '*eip-heal*'");
  return [...new Set(found.split("\n"))].filter((path) => path !== "").toSorted();
}

async function unitOf(machine: Guest): Promise<Pick<State, "unit" | "active">> {
  const [load, file, active] = await machine.show(
    UNIT,
    "LoadState",
    "UnitFileState",
    "ActiveState",
  );
  return { unit: load === "not-found" ? load : (file ?? ""), active: active ?? "" };
}

/**
 * The paths of the system where packages and administrators put things, and who is known on it. Two of them differ
 * by what was installed in between.
 */
export async function everything(machine: Guest): Promise<string[]> {
  const text = await machine.sh(
    "find /boot /etc /home /opt /root /srv /usr /usr/local /var/lib/systemd/deb-* -xdev 2>/dev/null || :; cat /etc/passwd /etc/group",
  );
  return text.split("\n").toSorted();
}
