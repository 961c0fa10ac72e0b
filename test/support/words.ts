/** A command as a shell reads it. */
import { execFileSync } from "node:child_process";

/** The words that a shell makes of a command that is pasted into it; nothing else may happen. */
export function wordsOf(command: string): string[] {
  // With the socket that Node gives it as standard input bash takes itself for a remote shell, and would read ~/.bashrc.
  const argv = ["--norc", "-c", `printf '%s\\0' ${command}`];
  const printed = execFileSync("/bin/bash", argv, { env: { PATH: "/nonexistent" } });
  return printed.toString().split("\0").slice(0, -1);
}
