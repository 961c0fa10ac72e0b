/** AWS through its own command line: what people have configured there (profiles, SSO, proxies) holds here too. */
import { execFile } from "node:child_process";

/** Access to AWS in one region. */
export interface Aws {
  /**
   * One call, as `aws` has it.
   *
   * @param command service and operation: "ec2 describe-addresses"
   * @param parameters those of the API
   * @param flags what only the command line has, such as "--body"
   * @returns the answer; text that is not JSON as a string
   * @throws AwsError if AWS refuses
   */
  call(command: string, parameters?: object, flags?: readonly string[]): Promise<unknown>;
  /**
   * The same call, for how long AWS takes to answer it.
   *
   * @returns milliseconds from sending the request, with a new connection, to the head of the answer
   */
  timed(command: string, parameters: object): Promise<number>;
}

/** A refusal of AWS. */
export class AwsError extends Error {
  /** As AWS names it, such as UnauthorizedOperation; "" if it said none. */
  readonly code: string;

  constructor(command: string, said: string) {
    super(`aws ${command}: ${said.trim()}`);
    this.code = /An error occurred \(([\w.]+)\)/.exec(said)?.[1] ?? "";
  }
}

/** The code of an error of AWS; any other error goes on. */
export function codeOf(error: unknown): string {
  if (error instanceof AwsError) return error.code;
  throw error;
}

/** The AWS CLI, version 1 or 2, in a region. It goes to AWS_ENDPOINT_URL where that is set. */
export function awsCli(region: string): Aws {
  const run = (command: string, parameters: object | undefined, flags: readonly string[]) => {
    const endpoint = endpointOf(command, region);
    const where = ["--region", region, ...(endpoint ? ["--endpoint-url", endpoint] : [])];
    const input = parameters === undefined ? [] : ["--cli-input-json", JSON.stringify(parameters)];
    return execute(command, [...command.split(" "), ...where, ...input, ...flags]);
  };
  return {
    async call(command, parameters, flags = []) {
      const { stdout } = await run(command, parameters, ["--output", "json", ...flags]);
      try {
        return stdout.trim() === "" ? {} : JSON.parse(stdout);
      } catch {
        return stdout.trim();
      }
    },
    async timed(command, parameters) {
      const { stderr } = await run(command, parameters, ["--output", "json", "--debug"]);
      return latencyIn(stderr);
    },
  };
}

/**
 * How long AWS took, by what `aws --debug` logs.
 *
 * @returns milliseconds
 */
export function latencyIn(debug: string): number {
  const at = (what: string) => {
    const line = debug.split("\n").findLast((one) => one.includes(what));
    const [, day, time, ms] = /^(\S+) ([\d:]+),(\d{3}) /.exec(line ?? "") ?? [];
    if (day === undefined) throw new Error(`aws --debug did not log "${what}"`);
    return Date.parse(`${day}T${time}.${ms}Z`);
  };
  return at("Response headers:") - at("Sending http request:");
}

function endpointOf(command: string, region: string): string | undefined {
  // Older versions do not read the variable.
  const set = process.env["AWS_ENDPOINT_URL"];
  if (set) return set;
  // Else the link would be to a name that redirects for the first hours of a bucket, which its signature does not survive.
  if (!command.startsWith("s3 presign")) return undefined;
  return `https://s3.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}`;
}

function execute(
  command: string,
  args: readonly string[],
): Promise<{ stdout: string; stderr: string }> {
  // No pager, and no question.
  const env = { ...process.env, AWS_PAGER: "", AWS_CLI_AUTO_PROMPT: "off" };
  const options = { env, maxBuffer: 1 << 28, timeout: 120_000 };
  return new Promise((resolve, reject) => {
    execFile("aws", args, options, (error, stdout, stderr) => {
      if (error === null) resolve({ stdout, stderr });
      else if (error.code === "ENOENT") reject(new Error("the AWS CLI is not installed"));
      else reject(new AwsError(command, stderr || error.message));
    });
  });
}
