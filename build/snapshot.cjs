/**
 * Evaluates the bundle while the binary is built: Node writes the heap down afterwards, with all functions compiled, and
 * the binary starts from that snapshot, with what src/main.ts gives to setDeserializeMainFunction(). Nothing of it may
 * have begun yet: a timer of this process would be lost and still counted, and what is read from this process would be
 * the builder's. CommonJS, because that is what Node makes a snapshot of.
 *
 * Run by build/binary.ts in the project's folder, by the very Node that goes into the binary, with the same flags for V8.
 */
"use strict";
const { readFileSync, writeFileSync } = require("node:fs");
const { setFlagsFromString } = require("node:v8");

const { folder, evaluated, ofNode, lateList } = JSON.parse(process.env.EIP_HEAL_SNAPSHOT);
/** What has ties to things outside of the heap, so that Node cannot put it into a snapshot: loaded by the run, on first use. */
const OUTSIDE = new Set(["node:http", "node:https", "node:tls"]);
const { compileFunction } = process.getBuiltinModule("node:vm");

let isBuilding = true;
const loaded = new Map();

/** A file of the bundle: from the folder now, out of the binary later. */
function load(file) {
  const known = loaded.get(file);
  if (known !== undefined) return known.exports;
  const source = isBuilding
    ? readFileSync(`${folder}/${file}`, "latin1")
    : Buffer.from(process.getBuiltinModule("node:sea").getRawAsset(file)).latin1Slice();
  const module = { exports: {} };
  loaded.set(file, module);
  const names = ["require", "module", "exports"];
  compileFunction(source, names, { filename: file })(requireFromBundle, module, module.exports);
  return module.exports;
}

function requireFromBundle(id) {
  if (id.startsWith("./")) return load(id.slice(2));
  if (isBuilding && OUTSIDE.has(id)) {
    return new Proxy({}, { get: (_, name) => process.getBuiltinModule(id)[name] });
  }
  return process.getBuiltinModule(id);
}

/** Calls `work`, which must not ask for what is another one in each run: the build fails where it would be the builder's. */
function withoutTheRun(work) {
  const refuse = (name) => {
    throw new Error(`the bundle asks for ${name} when it is evaluated, which is when it is built`);
  };
  const { env } = process;
  // The SDK asks right away how it is to behave in AWS Lambda, where this is not.
  const get = (_, name) => (name.startsWith("AWS_LAMBDA_") ? undefined : refuse(name));
  process.env = new Proxy({}, { get });
  const ofProcess = ["argv", "pid", "uptime", "hrtime", "cwd", "umask", "stdout", "stderr", "on"];
  const hidden = [
    ...ofProcess.map((name) => [process, name]),
    ...["setTimeout", "setInterval", "setImmediate"].map((name) => [globalThis, name]),
    [Date, "now"],
    [Math, "random"],
  ].map(([of, name]) => [of, name, Object.getOwnPropertyDescriptor(of, name)]);
  for (const [of, name] of hidden) {
    Object.defineProperty(of, name, { configurable: true, get: () => refuse(name) });
  }
  work();
  for (const [of, name, descriptor] of hidden) {
    if (descriptor === undefined) delete of[name];
    else Object.defineProperty(of, name, descriptor);
  }
  process.env = env;
}

// All functions, not only those that are called while this is evaluated. Set back at the end: the snapshot holds for one
// set of flags, that of the run.
setFlagsFromString("--no-lazy");
withoutTheRun(() => evaluated.forEach(load));

// Beside the snapshot Node writes code caches of all its own files, and the whole of one if that has been compiled here:
// compiled, not evaluated, which some cannot be.
const { internalBinding } = require("internal/test/binding");
const { compileFunction: compileOfNode } = internalBinding("builtins");
const inSnapshot = new Set(process.moduleLoadList);
const late = ofNode.filter((name) => !inSnapshot.has(`NativeModule ${name}`));
for (const name of late) compileOfNode(name);
writeFileSync(lateList, JSON.stringify(late));

// What differs from build to build: paths, the number of this process, the times of the file that was read last. A run sets
// each of them before it reads it.
process.argv.length = process.execArgv.length = 0;
process.execPath = "";
Object.defineProperty(process, "pid", { value: 0 });
internalBinding("fs").statValues.fill(0);
isBuilding = false;
setFlagsFromString("--lazy");
