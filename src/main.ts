/** Wiring: settings, ports, one run, one report; and the one place that catches what nobody foresaw. */
import { readFileSync } from "node:fs";
import tls from "node:tls";
import manifest from "../package.json" with { type: "json" };
import { environmentCredentials, roleCredentials } from "./aws/credentials.ts";
import { connectApi } from "./aws/ec2-api.ts";
import { ec2Over } from "./aws/ec2.ts";
import { metadataEndpoint, openMetadata } from "./aws/imds.ts";
import { readSelf } from "./aws/self.ts";
import { type CommandLine, helpText, parseCommandLine, UsageError } from "./command-line.ts";
import { parseEnvironmentFile } from "./core/environment-file.ts";
import { EXIT, type ExitStatus, Failure } from "./core/failure.ts";
import { isRegion } from "./core/ids.ts";
import { report, resultRecord, resultVariables } from "./core/report.ts";
import { readSettings, type Settings } from "./core/settings.ts";
import { heal } from "./heal.ts";
import type { Ports } from "./ports.ts";
import { systemClock } from "./system/clock.ts";
import { type Log, mannerOf, openLog } from "./system/journal.ts";
import { writeResults } from "./system/results.ts";

type Environment = Readonly<Record<string, string | undefined>>;

const CONFIG_FILE = "/etc/eip-heal.conf";

/** Where systemd has made /run/eip-heal it says so. */
const RESULTS_FOLDER = process.env["RUNTIME_DIRECTORY"] ?? "/run/eip-heal";

/** Of Node's own variables only NODE_EXTRA_CA_CERTS is the user's business: none of the others may change what we do. */
for (const name of Object.keys(process.env)) {
  if (name.startsWith("NODE_") && name !== "NODE_EXTRA_CA_CERTS") delete process.env[name];
}
// A reader that has gone away (`eip-heal --help | head -1`) is no reason to fail.
process.stdout.on("error", () => {});
process.stderr.on("error", () => {});

let log: Log = openLog("info", mannerOf(process.env));
void main(process.argv.slice(2))
  .catch((error: unknown) => {
    const told = error instanceof Error ? error.stack : String(error);
    log.error(`this is a bug in eip-heal ${manifest.version}, please report it: ${told}`);
    return EXIT.SOFTWARE;
  })
  .then(async (status) => {
    await log.close();
    // Explicitly: an answer that nobody read would keep the process alive.
    process.exit(status);
  });

async function main(args: string[]): Promise<ExitStatus> {
  let commandLine: CommandLine;
  try {
    commandLine = parseCommandLine(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    log.error(`${error.message}; see eip-heal --help`);
    return EXIT.USAGE;
  }
  if (commandLine.help) return print(helpText());
  if (commandLine.version) return print(`eip-heal ${manifest.version}\n`);

  const sources = readSources(commandLine);
  if ("problems" in sources) {
    for (const problem of sources.problems) log.error(problem);
    return sources.status;
  }
  const { settings, environment } = sources;
  log = openLog(settings.logLevel, mannerOf(process.env));

  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => stop.abort(new Error(`stopped by ${signal}`)));
  }
  let ports: Ports;
  try {
    ports = makePorts(environment);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    log.error(error.message);
    return EXIT.CONFIG;
  }

  const outcome = await heal(settings, ports, commandLine.dryRun, stop.signal);
  const { level, line, status } = report(outcome);
  log[level](line);
  const record = resultRecord(outcome, systemClock.date());
  if (commandLine.json) print(`${JSON.stringify(record)}\n`);
  if (!commandLine.dryRun) {
    try {
      writeResults(RESULTS_FOLDER, record, resultVariables(outcome));
    } catch (error) {
      // By hand and without root that is how it is; the address is where it is all the same.
      log.warn(`cannot write the result files: ${(error as Error).message}`);
    }
  }
  return status;
}

/** The settings and the environment that the AWS variables are read from: its own, over those of the file. */
function readSources(
  commandLine: CommandLine,
):
  | { settings: Settings; environment: Environment }
  | { problems: readonly string[]; status: ExitStatus } {
  const path = commandLine.config ?? CONFIG_FILE;
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    // Everything has a default: only a file that was asked for has to be there.
    if (code !== "ENOENT" || commandLine.config !== undefined) {
      return {
        problems: [`cannot read ${path}: ${hintOnReading(code, message)}`],
        status: EXIT.CONFIG,
      };
    }
    text = "";
  }
  const file = parseEnvironmentFile(text);
  const read = readSettings({
    flags: commandLine.flags,
    environment: process.env,
    file: { path, variables: file.variables },
  });
  const problems = [
    ...file.problems.map((problem) => `${path}, ${problem}`),
    ...("problems" in read ? read.problems : []),
  ];
  if (problems.length > 0 || "problems" in read) {
    const onlyFlags = file.problems.length === 0 && "problems" in read && read.onlyFlags;
    return { problems, status: onlyFlags ? EXIT.USAGE : EXIT.CONFIG };
  }

  const extra = file.variables["NODE_EXTRA_CA_CERTS"];
  if (extra && !process.env["NODE_EXTRA_CA_CERTS"]) {
    // From the environment Node has read it before we began.
    try {
      tls.setDefaultCACertificates([
        ...tls.getCACertificates("default"),
        readFileSync(extra, "utf8"),
      ]);
    } catch (error) {
      return {
        problems: [`cannot use NODE_EXTRA_CA_CERTS in ${path}: ${(error as Error).message}`],
        status: EXIT.CONFIG,
      };
    }
  }
  return { settings: read.settings, environment: { ...file.variables, ...process.env } };
}

function hintOnReading(code: string | undefined, message: string): string {
  if (code === "EACCES") return "permission denied; eip-heal runs unprivileged: chmod 0644";
  if (code === "ENOENT") return "there is no such file";
  if (code === "EISDIR") return "it is a folder";
  return message;
}

/** @throws Failure `misconfigured` for AWS variables that make no sense */
function makePorts(environment: Environment): Ports {
  const endpoint = metadataEndpoint(environment);
  const fixed = environmentCredentials(environment);
  const region = environment["AWS_REGION"] || undefined;
  if (region !== undefined && !isRegion(region)) {
    throw new Failure("misconfigured", {
      why: `AWS_REGION is ${JSON.stringify(region)}; accepted: a region such as eu-central-1`,
    });
  }
  const ec2Endpoint =
    environment["AWS_ENDPOINT_URL_EC2"] || environment["AWS_ENDPOINT_URL"] || undefined;
  if (ec2Endpoint !== undefined && !/^https?:$/.test(URL.parse(ec2Endpoint)?.protocol ?? "")) {
    throw new Failure("misconfigured", {
      why: `the endpoint for EC2 (AWS_ENDPOINT_URL_EC2 or AWS_ENDPOINT_URL) is ${JSON.stringify(ec2Endpoint)}; accepted: an https:// or http:// URL`,
    });
  }
  const skew = { offsetMs: 0 };
  const isOn = (name: string) => /^true$/i.test(environment[name] ?? "");

  return {
    clock: systemClock,
    log,
    async stand(tags, signal) {
      const metadata = await openMetadata(endpoint, signal);
      // Asked for at once with the rest; who needs them waits for them.
      const credentials = fixed
        ? Promise.resolve(fixed)
        : roleCredentials(metadata, systemClock.date());
      credentials.catch(() => {});
      const self = await readSelf(metadata, tags, region);
      const denied = new Set<string>();
      return {
        self,
        connect: () =>
          ec2Over(
            connectApi({
              self,
              credentials: () => credentials,
              ...(ec2Endpoint !== undefined && { endpoint: ec2Endpoint }),
              dualStack: isOn("AWS_USE_DUALSTACK_ENDPOINT"),
              fips: isOn("AWS_USE_FIPS_ENDPOINT"),
              signal,
              version: manifest.version,
              skew,
            }),
            self,
            denied,
          ),
      };
    },
  };
}

function print(text: string): ExitStatus {
  process.stdout.write(text);
  return EXIT.OK;
}
