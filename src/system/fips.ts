/** Asks the kernel whether it is in FIPS mode, in which only validated cryptography is meant to be used. */
import { readFileSync } from "node:fs";

/** Whether it is. A kernel that was built without that mode does not have the file. */
export function isInFipsMode(file = "/proc/sys/crypto/fips_enabled"): boolean {
  try {
    return readFileSync(file, "utf8").trim() === "1";
  } catch {
    return false;
  }
}
