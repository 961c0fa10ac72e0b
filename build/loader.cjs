/**
 * What the binary starts with: runs the bundle, a SEA asset, with the code cache beside it, which spares V8 the
 * compiling. CommonJS, because that is what a single executable application starts. build/code-cache.cjs compiles the
 * same text in the same way; were the cache not to fit all the same, this is only slower, and says so as Node would.
 */
"use strict";
const { getRawAsset } = require("node:sea");
const { Script } = require("node:vm");

const source = Buffer.from(getRawAsset("bundle")).latin1Slice();
const script = new Script(source, {
  filename: "eip-heal.cjs",
  cachedData: Buffer.from(getRawAsset("code-cache")),
});
if (script.cachedDataRejected) process.emitWarning("the code cache was rejected");
script.runInThisContext()(require, module, exports);
