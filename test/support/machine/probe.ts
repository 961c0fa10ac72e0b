/** probe.c in the place of the program, in a unit: what somebody could do who has got into the process. */
import { join } from "node:path";
import { UNIT } from "./cloud.ts";
import type { Machine } from "./machine.ts";
import { CONFIRM, RETRY } from "./rounds.ts";
import { must } from "../run.ts";

/** A container or a virtual machine. */
type Guest = Pick<Machine, "must" | "exec" | "sh" | "show">;

const PROBE = "/usr/bin/probe";
const DROP_INS = `/etc/systemd/system/${UNIT}.d`;

/** What it has tried, in order, and whether it could. */
export type Tries = ReadonlyMap<string, boolean>;

/** Those that it could do. */
export const able = (tries: Tries): string[] =>
  [...tries].flatMap(([what, could]) => (could ? [what] : []));

/** Compiles the probe onto the disk of a machine of the same architecture, running or not. */
export async function putProbe(root: string): Promise<void> {
  // Static: which libraries the machine has does not matter.
  const compile = ["gcc", "-static", "-O1", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror"];
  await must([...compile, "-o", join(root, PROBE), join(import.meta.dirname, "probe.c")]);
}

/** Puts there what it looks for, and itself in the place of the program. */
export async function takePlace(machine: Guest): Promise<void> {
  await machine.sh(`
    systemctl mask --runtime --quiet ${RETRY} ${CONFIRM}
    systemctl stop ${UNIT} ${RETRY} ${CONFIRM}
    mkdir -p /usr/libexec /home/admin
    chmod 755 /root /home/admin
    for folder in /usr/sbin /usr/libexec /usr/lib/systemd /usr/local/bin /opt /home/admin /root /run; do
      cp ${PROBE} $folder/probe
    done
    install -m 4755 ${PROBE} /usr/lib64/probe-as-root
    for file in /tmp/of-others /var/tmp/of-others /dev/shm/of-others /var/log/probe.log; do
      echo x >$file
      chmod 644 $file
    done
    install -m 600 -o 1234 /dev/null /var/lib/of-others
    [ -e /dev/fuse ] || mknod /dev/fuse c 10 229
    chmod 666 /dev/fuse
    cp --remove-destination ${PROBE} /usr/bin/eip-heal`);
}

/**
 * Starts the unit with the probe in it.
 *
 * @param dropIn directives of [Service] that it is changed by
 */
export async function tryIn(machine: Guest, dropIn: string = ""): Promise<Tries> {
  await machine.sh(`mkdir -p ${DROP_INS}; cat >${DROP_INS}/probe.conf <<'END'\n[Service]\n${dropIn}\nEND\n
    systemctl daemon-reload; systemctl restart ${UNIT}`);
  const [invocation] = await machine.show(UNIT, "InvocationID");
  await machine.must(["journalctl", "--sync"]);
  const filter = [`_SYSTEMD_INVOCATION_ID=${invocation}`, "-t", "eip-heal", "-o", "cat"];
  return read(await machine.must(["journalctl", "--no-pager", ...filter]));
}

/** Starts it in a unit with these directives and no others. */
export async function tryBare(machine: Guest, directives: readonly string[]): Promise<Tries> {
  const unit = directives.map((line) => `--property=${line}`);
  return read(await machine.must(["systemd-run", "--quiet", "--wait", "--pipe", ...unit, PROBE]));
}

/** Starts it outside of any sandbox, where it can do all that it tries. */
export async function tryOutside(machine: Guest): Promise<Tries> {
  const said = await machine.sh(`
    mkdir -p /run/eip-heal
    env RUNTIME_DIRECTORY=/run/eip-heal ${PROBE}
    # Root's files would be in the way of the next one's.
    rm -f /run/eip-heal/core* /run/eip-heal/probe-own /tmp/probe-own /var/tmp/probe-own /dev/shm/probe-own`);
  return read(said);
}

function read(said: string): Tries {
  const lines = [...said.matchAll(/^(can|cannot) ([^:\n]+)(?::.*)?$/gm)];
  if (lines.length < 40) throw new Error(`the probe has not come to its end:\n${said}`);
  return new Map(lines.map(([, answer, what = ""]) => [what, answer === "can"]));
}
