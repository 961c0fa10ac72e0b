/**
 * Preloaded into eip-heal: something befalls it at one of its changes to its folder. EACH_WRITE is `count`, which tells on
 * standard error how many there were; `kill 3`, at the third of them, in the middle of what that writes or after it;
 * `full 3`, where nothing can be written any more from the third on; or `read-only 3`, where nothing can be changed any
 * more from the third on; or `busy env`, where that file stays in its place, such as a mount point.
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const [what, where] = process.env.EACH_WRITE.split(" ");
const folder = process.env.RUNTIME_DIRECTORY;
let changes = 0;

for (const name of ["writeFileSync", "renameSync", "unlinkSync", "rmSync", "chmodSync"]) {
  const change = fs[name];
  fs[name] = (path, ...rest) => {
    if (!String(path).startsWith(`${folder}/`)) return change(path, ...rest);
    changes++;
    const isWrite = name === "writeFileSync";
    if (changes >= Number(where)) {
      if (what === "full" && isWrite) throw errorOf("ENOSPC", "no space left on device, write");
      if (what === "read-only") throw errorOf("EROFS", `read-only file system, ${name}`);
    }
    const isInPlace = [path, rest[0]].includes(`${folder}/${where}`);
    if (what === "busy" && isInPlace) throw errorOf("EBUSY", `resource busy or locked, ${name}`);
    const isLast = what === "kill" && changes === Number(where);
    const [content, ...options] = rest;
    const result =
      isLast && isWrite
        ? change(path, content.slice(0, content.length / 2), ...options)
        : undefinedIfAbsent(() => change(path, ...rest), isLast);
    if (isLast) process.kill(process.pid, "SIGKILL");
    return result;
  };
}
syncBuiltinESMExports();
if (what === "count") process.on("exit", () => fs.writeSync(2, `changes: ${changes}\n`));

function errorOf(code, text) {
  return Object.assign(new Error(`${code}: ${text}`), { code });
}

/** To remove what is not there is a change like any other. */
function undefinedIfAbsent(work, isLast) {
  try {
    return work();
  } catch (error) {
    if (!isLast) throw error;
    return undefined;
  }
}
