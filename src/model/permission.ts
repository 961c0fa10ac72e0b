/** The remedy for a permission that the role lacks: the policy that `eip-heal policy` prints. */

/** Permissions that not every role needs, with the option that makes `eip-heal policy` print them. */
const OPTIONS: Readonly<Record<string, string>> = {
  "ec2:DisassociateAddress": " --release",
  "autoscaling:CompleteLifecycleAction": " --hook",
  "autoscaling:RecordLifecycleActionHeartbeat": " --hook",
};

/**
 * What to do if the role's policy lacks a permission. No resource is named: the one that was refused may be this very
 * instance, and the next instance of its group will have another id.
 */
export function allowing(permission: string): string {
  return `allow ${permission} in the policy of the instance role: ${printing(permission)} prints it`;
}

/** The command that prints a policy with this permission. */
export function printing(permission: string): string {
  return `eip-heal policy${Object.hasOwn(OPTIONS, permission) ? OPTIONS[permission] : ""}`;
}
