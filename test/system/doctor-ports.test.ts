/** What doctor knows of the settings file: whether it may be opened to everybody. */
import { expect, test } from "vitest";
import type { Settings } from "../../src/config/settings.ts";
import { doctorPortsOf } from "../../src/system/doctor-ports.ts";

test.each<[Record<string, string>, Record<string, string>, boolean]>([
  [{}, {}, false],
  [{ AWS_SECRET_ACCESS_KEY: "secret" }, {}, true],
  [{ AWS_SECRET_ACCESS_KEY: "" }, {}, false],
  [{ HTTPS_PROXY: "http://proxy.example:3128" }, {}, false],
  [{ HTTPS_PROXY: "http://user:password@proxy.example:3128" }, {}, true],
  [{ http_proxy: "user:password@proxy.example:3128" }, {}, true],
  // From the environment: the file has nothing to hide.
  [{}, { AWS_SECRET_ACCESS_KEY: "secret" }, false],
  [{}, { HTTPS_PROXY: "http://user:password@proxy.example:3128" }, false],
])("file %o, environment %o: a secret in the file is %s", (file, processEnvironment, expected) => {
  const ports = doctorPortsOf({
    commandLine: { flags: {} },
    configuration: { settings: {} as Settings, environment: { ...file, ...processEnvironment } },
    processEnvironment,
    version: "test",
    log: { warn: () => {}, debug: () => {} },
    aws: () => {
      throw new Error("nothing is asked");
    },
  });
  expect(ports.hasKeysInFile).toBe(expected);
});
