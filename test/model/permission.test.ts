/** The one cure for a missing permission is the policy that `eip-heal policy` prints. */
import { expect, test } from "vitest";
import { allowing, printing } from "../../src/model/permission.ts";

test.each([
  ["ec2:AssociateAddress", "eip-heal policy"],
  ["ec2:DescribeAddresses", "eip-heal policy"],
  ["ec2:DisassociateAddress", "eip-heal policy --release"],
  ["autoscaling:CompleteLifecycleAction", "eip-heal policy --hook"],
  ["autoscaling:RecordLifecycleActionHeartbeat", "eip-heal policy --hook"],
  ["toString", "eip-heal policy"],
])("%s is in what `%s` prints", (permission, command) => {
  expect(printing(permission)).toBe(command);
  const cure = allowing(permission);
  expect(cure).toContain(permission);
  expect(cure).toMatch(new RegExp(`${command}(?! --)`));
});
