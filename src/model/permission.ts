/** The permissions of the role, and the one cure for one that it lacks: what `eip-heal policy` prints. */

/** What not every role needs, by the option of `eip-heal policy` with which it is always printed. */
const OPTIONS: Readonly<Record<string, string>> = {
  "ec2:DisassociateAddress": " --release",
  "autoscaling:CompleteLifecycleAction": " --hook",
  "autoscaling:RecordLifecycleActionHeartbeat": " --hook",
};

/**
 * What to do where the policy of the role lacks a permission. It names no resource: the one that was refused may be this
 * very instance, and the next one of its group has another id.
 */
export function allowing(permission: string): string {
  return `allow ${permission} in the policy of the instance role: ${printing(permission)} prints it`;
}

/** The command that prints a policy with this permission. */
export function printing(permission: string): string {
  return `eip-heal policy${Object.hasOwn(OPTIONS, permission) ? OPTIONS[permission] : ""}`;
}
