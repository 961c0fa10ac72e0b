/** `make acceptance`: the first hour on a real account. README.md in this folder says what it does. */
import { awsCli } from "./aws.ts";
import { accept, EXIT } from "./accept.ts";
import { realClock } from "./clock.ts";

const interruption = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    console.error(`${signal}: what has been made is removed first, please wait`);
    interruption.abort(new Error("interrupted"));
  });
}

try {
  process.exitCode = await accept(process.argv.slice(2), {
    awsIn: awsCli,
    clock: realClock(interruption.signal),
    // What is removed after an interruption waits as well.
    removalClock: realClock(new AbortController().signal),
    print: (text) => console.log(text),
  });
} catch (error) {
  console.error(error);
  process.exitCode = EXIT.failed;
}
