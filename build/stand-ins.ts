/** Modules that are replaced when bundling: they never run, or a smaller one does the same. */
import type { Plugin } from "rolldown";

export interface StandIn {
  /** The package whose modules import it. */
  readonly from: string;
  /** As they import it. */
  readonly specifier: string;
  /** The module that they get instead. */
  readonly code: string;
}

const NO_CREDENTIALS =
  'export const defaultProvider = () => () => Promise.reject(new Error("no credential chain in eip-heal"));';

const STAND_INS: readonly StandIn[] = [
  // The default chain of credential providers (profiles, SSO, processes …): ours are passed explicitly.
  {
    from: "@aws-sdk/client-ec2",
    specifier: "@aws-sdk/credential-provider-node",
    code: NO_CREDENTIALS,
  },
  {
    from: "@aws-sdk/client-auto-scaling",
    specifier: "@aws-sdk/credential-provider-node",
    code: NO_CREDENTIALS,
  },
  // Profile files, which every setting would be looked for in: on an image they are somebody else's business. Without
  // them the promises of node:fs and its pool of threads are not loaded either.
  {
    from: "@smithy/core",
    specifier: "../shared-ini-file-loader/loadSharedConfigFiles",
    code: "export const loadSharedConfigFiles = async () => ({ configFile: {}, credentialsFile: {} });",
  },
  // Where instance metadata is read, all that it would look for in variables and profile files is given.
  {
    from: "@aws-sdk/ec2-metadata-service",
    specifier: "@smithy/core/config",
    code: 'export const loadConfig = () => () => Promise.reject(new Error("no profile files in eip-heal"));',
  },
  // Bodies as browsers have them.
  {
    from: "@smithy/core",
    specifier: "./sdk-stream-mixin.browser",
    code: 'export const sdkStreamMixin = () => { throw new Error("no stream of Node"); };',
  },
  // TLS, which takes a fifth of the processor time of a recheck that finds nothing wrong. Instance metadata does without;
  // the clients of services, which do not, are given agents of Node's own (src/aws/client.ts).
  {
    from: "@smithy/node-http-handler",
    specifier: "./node-https",
    code: 'export const node_https = { Agent: class {}, request: (...of) => process.getBuiltinModule("node:https").request(...of) };',
  },
  // EC2 has no operation with a stream of events. Brings checksums and node:zlib.
  { from: "@smithy/core", specifier: "@smithy/core/event-streams", code: "export {};" },
  // Of this winston wants the colours of its levels; the formatter that is used is imported by itself.
  {
    from: "winston",
    specifier: "logform",
    code: "module.exports = { levels: (config) => config };",
  },
  // Numbers the SDK's requests by the global `crypto`, and to ask for that is to load all of Web Cryptography.
  {
    from: "@smithy/core",
    specifier: "./uuid/v4",
    code: 'import { randomUUID } from "node:crypto"; export const bindV4 = () => randomUUID;',
  },
  // winston's own debugging output, in colour, and what it logs when a program crashes, which we do ourselves.
  { from: "winston", specifier: "@dabh/diagnostics", code: "module.exports = () => () => {};" },
  { from: "winston", specifier: "./exception-handler", code: "module.exports = class {};" },
  { from: "winston", specifier: "./rejection-handler", code: "module.exports = class {};" },
  // The format of those who give none.
  { from: "winston", specifier: "logform/json", code: "module.exports = () => {};" },
  // With one transport to wait for at the end, there is nothing to take turns.
  {
    from: "winston",
    specifier: "async/forEach",
    code: "module.exports = (all, each, done) => all.length === 1 ? each(all[0], done) : done(new Error('one transport'));",
  },
  // A copy of Node's own streams for old Nodes.
  {
    from: "winston",
    specifier: "readable-stream",
    code: 'module.exports = require("node:stream");',
  },
  {
    from: "winston-transport",
    specifier: "readable-stream/lib/_stream_writable.js",
    code: 'module.exports = require("node:stream").Writable;',
  },
];

/**
 * A plugin of the bundler that puts them in place. One that nothing imports any more fails the build: a new version of a
 * package names or places it differently, and what was left out would be back in unseen.
 */
export function standIns(rows: readonly StandIn[] = STAND_INS): Plugin {
  const unused = new Set(rows);
  return {
    name: "stand-ins",
    resolveId(specifier, importer) {
      const from = packageOf(importer);
      const row = rows.find((one) => one.specifier === specifier && one.from === from);
      if (row === undefined) return undefined;
      unused.delete(row);
      return `${PREFIX}${rows.indexOf(row)}:${specifier}`;
    },
    load: (id) =>
      id.startsWith(PREFIX) ? rows[Number.parseInt(id.slice(PREFIX.length))]?.code : undefined,
    buildEnd(error) {
      if (error !== undefined) return;
      for (const { from, specifier } of unused) {
        this.error(`build/stand-ins.ts: no module of ${from} imports ${specifier} any more`);
      }
    },
  };
}

const PREFIX = "\0stand-in:";

/** The innermost package that a module is in. */
function packageOf(module = ""): string | undefined {
  return /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(module)?.[1];
}
