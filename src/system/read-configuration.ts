/** Reads the configuration of this machine: command line, environment and /etc/eip-heal.conf. */
import { parseEnvironmentFile } from "../config/environment-file.ts";
import { atMost, type Problem } from "../config/problem.ts";
import { EXIT } from "../model/failure.ts";
import { isMac } from "../model/ids.ts";
import type { Configuration } from "../config/configuration.ts";
import type { Environment } from "../model/environment.ts";
import { readSettings, type SettingsResult } from "../config/read.ts";
import { readTextFile, Unreadable } from "./text-file.ts";

const CONFIG_FILE = "/etc/eip-heal.conf";

/** Path of the settings file: the one given, or the default. */
export const configFile = ({ config }: { config?: string }): string => config ?? CONFIG_FILE;

/**
 * Reads the settings from the command line, the environment and the settings file.
 *
 * @param config path of the file, if one was given; it then has to exist
 */
export function readConfiguration(
  { config, flags }: { config?: string; flags: Readonly<Record<string, string>> },
  processEnvironment: Environment,
): Configuration {
  const path = configFile(config === undefined ? {} : { config });
  let text: string;
  try {
    text = readTextFile(path);
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    const { code, message: why, isLasting } = error;
    // The default file may be missing, because every setting has a default.
    if (code !== "ENOENT" || config !== undefined) {
      const read = readSettings({
        flags,
        environment: processEnvironment,
        file: { path, variables: {} },
      });
      const isHidden = code === "EACCES";
      return {
        problems: [{ problem: "unreadable file", file: path, why, isHidden, isLasting }],
        status: isLasting ? EXIT.CONFIG : EXIT.TEMPFAIL,
        ...hookOf(read, processEnvironment),
      };
    }
    text = "";
  }
  const file = parseEnvironmentFile(text);
  const environment = { ...file.variables, ...processEnvironment };
  const read = readSettings({
    flags,
    environment: processEnvironment,
    file: { path, ...file },
  });
  const problems: Problem[] = [
    ...file.problems.map(
      (one) => ({ problem: "invalid line", file: path, ...one }) satisfies Problem,
    ),
    ...("problems" in read ? read.problems.map(withInterface) : []),
  ];
  if (problems.length > 0 || "problems" in read) {
    const onlyFlags = file.problems.length === 0 && "problems" in read && read.onlyFlags;
    return {
      problems: atMost(problems),
      status: onlyFlags ? EXIT.USAGE : EXIT.CONFIG,
      ...hookOf(read, environment),
    };
  }

  const extra = file.variables["NODE_EXTRA_CA_CERTS"];
  if (extra && !processEnvironment["NODE_EXTRA_CA_CERTS"]) {
    // Node reads the variable only from the environment, at start.
    try {
      // Not imported statically: a recheck that finds nothing wrong need not load TLS.
      const tls = process.getBuiltinModule("node:tls");
      tls.setDefaultCACertificates([...tls.getCACertificates("default"), readTextFile(extra)]);
    } catch (error) {
      return {
        problems: [
          {
            problem: "unusable certificates",
            variable: "NODE_EXTRA_CA_CERTS",
            file: path,
            why: `${extra}: ${(error as Error).message}`,
          },
        ],
        status: error instanceof Unreadable && !error.isLasting ? EXIT.TEMPFAIL : EXIT.CONFIG,
        ...hookOf(read, environment),
      };
    }
  }
  return { ...read, environment };
}

/** Interface names of the kernel. They contain no slash, so they are safe in a path. */
const INTERFACE_NAME = /^[\w.:-]{1,15}$/;

/** Suggests the MAC address if the value is this machine's name of an interface, such as `ens5`, which EC2 does not know. */
function withInterface(problem: Problem): Problem {
  if (problem.problem !== "invalid value" || problem.key !== "EIP_HEAL_INTERFACE") return problem;
  const { value: name } = problem;
  const mac = INTERFACE_NAME.test(name) ? macOf(name) : undefined;
  return mac === undefined
    ? problem
    : {
        ...problem,
        meant: {
          value: mac,
          what: `the MAC address of ${name} on this instance (0 is the primary interface on every one)`,
        },
      };
}

function macOf(name: string): string | undefined {
  try {
    const mac = readTextFile(`/sys/class/net/${name}/address`).trim();
    return isMac(mac) && mac !== NO_MAC ? mac : undefined;
  } catch {
    return undefined; // there is no such interface
  }
}

/** The loopback interface's. */
const NO_MAC = "00:00:00:00:00:00";

/** The lifecycle hook, if it could be read, so that it can still be abandoned. */
function hookOf(read: SettingsResult, environment: Environment) {
  const name = "problems" in read ? read.lifecycleHook : read.settings.lifecycleHook;
  return name === undefined ? {} : { hook: { name, environment } };
}
