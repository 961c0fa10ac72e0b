/**
 * What the binary starts with: runs the bundle, whose files are SEA assets, each with the code cache beside it, which
 * spares V8 the compiling. A file is read when it is required. CommonJS, because that is what a single executable
 * application starts. build/code-cache.cjs compiles the same text in the same way; were a cache not to fit all the
 * same, this is only slower, and says so as Node would.
 */
"use strict";
const { getRawAsset } = require("node:sea");
const { Script } = require("node:vm");

const loaded = new Map();

function load(file) {
  const known = loaded.get(file);
  if (known !== undefined) return known.exports;
  const module = { exports: {} };
  loaded.set(file, module);
  const script = new Script(Buffer.from(getRawAsset(file)).latin1Slice(), {
    filename: file,
    cachedData: Buffer.from(getRawAsset(`${file}.cache`)),
  });
  if (script.cachedDataRejected) process.emitWarning(`the code cache of ${file} was rejected`);
  script.runInThisContext()(requireFromBundle, module, module.exports);
  return module.exports;
}

function requireFromBundle(id) {
  return id.startsWith("./") ? load(id.slice(2)) : require(id);
}

load("eip-heal.cjs");
