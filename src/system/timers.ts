/** Which timers systemd starts at a boot, by the links that systemctl enable makes: systemd.unit(5). */
import { existsSync } from "node:fs";

const FOLDERS = ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system"];

/** Is this timer enabled? */
export function isTimerOn(name: string): boolean {
  return FOLDERS.some((folder) => existsSync(`${folder}/timers.target.wants/${name}`));
}
