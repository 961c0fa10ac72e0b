/** Plays one row of cut-off-rows.ts, in a network namespace that was made for it; prints what came of it. */
import { networkInterfaces } from "node:os";
import { ROWS } from "./cut-off-rows.ts";
import { type Course, play } from "./stage.ts";

const [name, course] = process.argv.slice(2);
const row = ROWS.find((one) => one.name === name);
if (row === undefined) throw new Error(`no row ${name}`);
// These rows use addresses that are real elsewhere.
if (Object.keys(networkInterfaces()).some((one) => one !== "lo")) {
  throw new Error("this is no network of its own");
}
process.stdout.write(JSON.stringify(await play(row, course as Course)));
