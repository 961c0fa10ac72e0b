/** What can go wrong at instance metadata and EC2, and the words by which the log tells of it. */
import type { FaultRule } from "../../sim/faults.ts";
import type { Scene, Trouble } from "./stage.ts";

/** Requests that fit go wrong. */
export function faulty(...rules: FaultRule[]) {
  return ({ region }: Scene): Trouble => {
    const faults = rules.map((rule) => region.faults.add(rule));
    return {
      end: () => faults.forEach((fault) => region.faults.clear(fault)),
      felt: () => faults.some(({ hits }) => hits > 0),
    };
  };
}

export const DOCUMENT = "/latest/dynamic/instance-identity/document";
/** What is read in its place if it is not there. */
export const LEAF = "/latest/meta-data/instance-id";
export const MACS = "/latest/meta-data/network/interfaces/macs/";
export const imds = (effect: FaultRule["effect"], rest: Partial<FaultRule> = {}) =>
  faulty({ service: "imds", effect, ...rest });
export const ec2 = (effect: FaultRule["effect"], rest: Partial<FaultRule> = {}) =>
  faulty({ service: "ec2", effect, ...rest });
export const answering = (status: number, body = "") => ({ do: "status", status, body }) as const;
export const failing = (code: string, status = 400, message?: string) =>
  ({ do: "error", code, status, ...(message !== undefined && { message }) }) as const;
export const associating = { action: "AssociateAddress" };

/** What was made so is put right again. */
export const made =
  (wrong: (scene: Scene) => unknown, right: (scene: Scene) => unknown) =>
  async (scene: Scene): Promise<Trouble> => {
    await wrong(scene);
    return { end: () => right(scene) };
  };

/** Role credentials as instance metadata shows them, which expire so many milliseconds from now. */
export function expiring(inMs: number) {
  return (scene: Scene): Trouble => {
    const { region, me } = scene;
    const { accessKeyId, secretAccessKey, token, expiration } = region.credentials.issue(me, inMs);
    const body = JSON.stringify({
      Code: "Success",
      AccessKeyId: accessKeyId,
      SecretAccessKey: secretAccessKey,
      Token: token,
      Expiration: new Date(expiration).toISOString(),
    });
    const path = "/latest/meta-data/iam/security-credentials/full";
    return imds(answering(200, body), { path })(scene);
  };
}

/** The longest pause between two tries that EC2 has throttled, as reconcile/retry.ts has it, in milliseconds. */
export const THROTTLED_MS = 30_000;

export const PUT_TOKEN = "PUT http://127.0.0.1";
export const NO_ANSWER = "no complete answer within";
export const DESCRIBE = "ec2:DescribeAddresses at 127.0.0.1";
export const ASSOCIATE = "ec2:AssociateAddress at 127.0.0.1";
