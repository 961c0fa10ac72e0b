/**
 * Writes the code cache of a file of the bundle: `node --jitless --random-seed=1 code-cache.cjs FILE CACHE`, by the very
 * Node that will run the bundle, with the same flags for V8, under an emulator if need be. All functions are compiled, not
 * only those that a certain run called: as fast at start as a cache taken after a real run, and the same bytes every time,
 * which that one is not.
 */
"use strict";
const { readFileSync, writeFileSync } = require("node:fs");
const { basename } = require("node:path");
const { setFlagsFromString } = require("node:v8");
const { Script } = require("node:vm");

const [file, cache] = process.argv.slice(2);
const source = readFileSync(file, "latin1");
setFlagsFromString("--no-lazy");
// A copy: what V8 keeps of a string that was cut out of another is that other one, with the path of this machine.
const filename = Buffer.from(basename(file)).toString("latin1");
const script = new Script(source, { filename });
// A cache holds for one set of flags: those of the run, not of the compiling.
setFlagsFromString("--lazy");
writeFileSync(cache, script.createCachedData());
