/**
 * Writes the code cache of a bundle: `node --random-seed=1 code-cache.cjs BUNDLE CACHE`, by the very Node that will run
 * the bundle, under an emulator if need be. All functions are compiled, not only those that a certain run called: as
 * fast at start as a cache taken after a real run, and the same bytes every time, which that one is not.
 */
"use strict";
const { readFileSync, writeFileSync } = require("node:fs");
const { setFlagsFromString } = require("node:v8");
const { Script } = require("node:vm");

const [bundle, cache] = process.argv.slice(2);
const source = readFileSync(bundle, "latin1");
setFlagsFromString("--no-lazy");
const script = new Script(source, { filename: "eip-heal.cjs" });
// A cache holds for one set of flags: those of the run, not of the compiling.
setFlagsFromString("--lazy");
writeFileSync(cache, script.createCachedData());
