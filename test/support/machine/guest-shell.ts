/**
 * A root shell in a virtual machine, reached over a console device of its own: the test needs neither a login nor the
 * machine's network. Each line is a command or an answer, in base64.
 */
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import type { Result } from "../run.ts";

const UNIT = `[Unit]
Description=Shell of the test
DefaultDependencies=no
After=local-fs.target
# Until the device is there.
StartLimitIntervalSec=0
[Service]
ExecStart=/bin/sh /usr/local/sbin/guest-shell
StandardInput=tty-force
StandardOutput=tty
StandardError=null
TTYPath=/dev/hvc0
Restart=always
RestartSec=1s
Environment=HOME=/root TERM=dumb LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive SYSTEMD_PAGER=cat SYSTEMD_COLORS=0
[Install]
WantedBy=sysinit.target
`;

/** What comes in is "ID COMMAND", what goes out "ID STATUS STDOUT. STDERR.": the dots keep empty words. */
const PROGRAM = `stty raw -echo
cd /
while read -r id command; do
	[ -n "$command" ] || continue
	work=$(mktemp -d)
	echo "$command" | base64 -d >"$work/command"
	sh "$work/command" >"$work/out" 2>"$work/err" </dev/null
	status=$?
	echo "$id $status $(base64 -w0 "$work/out"). $(base64 -w0 "$work/err")."
	rm -r "$work"
done
`;

/** Lets a root, when it boots, answer a GuestShell. */
export async function putGuestShellInto(root: string): Promise<void> {
  const units = join(root, "etc/systemd/system");
  await writeFile(join(units, "guest-shell.service"), UNIT);
  await mkdir(join(units, "sysinit.target.wants"), { recursive: true });
  await symlink("../guest-shell.service", join(units, "sysinit.target.wants/guest-shell.service"));
  await mkdir(join(root, "usr/local/sbin"), { recursive: true });
  await writeFile(join(root, "usr/local/sbin/guest-shell"), PROGRAM);
  // Otherwise a login is offered there.
  await symlink("/dev/null", join(units, "serial-getty@hvc0.service"));
}

export class GuestShell {
  readonly #path: string;
  #socket: Socket | undefined;
  #unread = "";
  #serial = 0;
  readonly #waiting = new Map<string, (result: Result) => void>();

  /** @param path UNIX socket of the console; it need not be there yet */
  constructor(path: string) {
    this.#path = path;
  }

  /** Runs a command to its end; status 124: nobody has answered in time. */
  async run(argv: readonly string[], timeoutMs: number): Promise<Result> {
    const id = `c${++this.#serial}`;
    const command = argv.map((word) => `'${word.replaceAll("'", String.raw`'\''`)}'`).join(" ");
    return await new Promise((resolve) => {
      const end = (result: Result) => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        resolve(result);
      };
      const timer = setTimeout(() => {
        end({ status: 124, stdout: "", stderr: `no answer within ${timeoutMs / 1000} s` });
      }, timeoutMs);
      this.#waiting.set(id, end);
      // The empty line ends whatever was there before the shell.
      this.#open().write(`\n${id} ${Buffer.from(command).toString("base64")}\n`);
    });
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  #open(): Socket {
    if (this.#socket !== undefined) return this.#socket;
    const socket = connect(this.#path);
    this.#socket = socket;
    socket.setEncoding("utf8");
    socket.on("data", (text: string) => {
      this.#read(text);
    });
    // Not there yet, or gone: the next command tries again.
    socket.on("error", () => {});
    socket.on("close", () => {
      if (this.#socket === socket) this.#socket = undefined;
    });
    return socket;
  }

  #read(text: string): void {
    const lines = (this.#unread + text).split("\n");
    this.#unread = lines.pop() ?? "";
    for (const line of lines) {
      const answer = /(c\d+) (\d+) (\S*)\. (\S*)\.\r?$/.exec(line);
      if (answer === null) continue;
      const [, id = "", status, stdout = "", stderr = ""] = answer;
      const decode = (base64: string) => Buffer.from(base64, "base64").toString("utf8");
      this.#waiting.get(id)?.({
        status: Number(status),
        stdout: decode(stdout),
        stderr: decode(stderr),
      });
    }
  }
}
