/** Which timers are enabled, according to the links that `systemctl enable` creates (systemd.unit(5)). */
import { existsSync } from "node:fs";

const FOLDERS = ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system"];

/** Whether this timer is enabled. */
export function isTimerOn(name: string): boolean {
  return FOLDERS.some((folder) => existsSync(`${folder}/timers.target.wants/${name}`));
}
