/** Runs the real binary on a terminal of its own, as wide as wanted. */
import { execFile } from "node:child_process";
import { ARGUMENTS, PROGRAM } from "../support/agent.ts";
import type { Scene } from "../support/scenario.ts";

/** Gives its first argument as columns to a new terminal, runs the rest on it and prints what comes. */
const ON_A_TERMINAL = `
import fcntl, os, pty, struct, sys, termios
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, int(sys.argv[1]), 0, 0))
    os.execv(sys.argv[2], sys.argv[2:])
while True:
    try:
        piece = os.read(terminal, 65536)
    except OSError:
        break
    if not piece:
        break
    sys.stdout.buffer.write(piece)
sys.stdout.buffer.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

/** @returns everything that reached the terminal, carriage returns included */
export function onTerminal(
  scene: Scene,
  command: readonly string[],
  columns: number,
  variables: Readonly<Record<string, string>>,
): Promise<{ output: string; status: number | null }> {
  const { environment, flags } = scene.prepare();
  const args = ["-c", ON_A_TERMINAL, String(columns), PROGRAM, ...ARGUMENTS, ...flags, ...command];
  const env = { RUNTIME_DIRECTORY: scene.runtime, ...environment, ...variables };
  return new Promise((done) => {
    const child = execFile(
      "python3",
      args,
      { env: { ...env, PATH: process.env["PATH"] } },
      (_, stdout) => done({ output: stdout, status: child.exitCode }),
    );
  });
}
