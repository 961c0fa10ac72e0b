/** Broken set-ups, one fault each and some with two. */
import { allow } from "../../sim/iam.ts";
import {
  ALL,
  another,
  conf,
  environment,
  fullPool,
  heldBy,
  HOOK,
  HOUR,
  inGroup,
  MINE,
  NOT_THERE,
  type Row,
  tag,
  without,
} from "./changes.ts";

export const ROWS: readonly Row[] = [
  // Settings
  {
    name: "an unknown key in the file",
    first: ["settings"],
    status: 78,
    breakIt: conf("EIP_HEAL_TAKEOVR=never"),
  },
  {
    name: "a value that is not accepted, in the file",
    first: ["settings"],
    status: 78,
    breakIt: conf("EIP_HEAL_TAKEOVER=newst"),
  },
  {
    name: "a value that is not accepted, in the environment",
    first: ["settings"],
    status: 78,
    breakIt: environment({ EIP_HEAL_DISPLACE: "maybe" }),
  },
  {
    name: "a private address instead of the public one",
    first: ["settings"],
    status: 78,
    breakIt: conf("EIP_HEAL_ALLOCATION_ID=10.0.0.5"),
  },
  {
    name: "both an address and a pool",
    first: ["settings"],
    status: 78,
    breakIt: (scene) => {
      scene.conf = [`EIP_HEAL_ALLOCATION_ID=${scene.allocationId}`, "EIP_HEAL_POOL=eip-pool=web"];
    },
  },
  {
    name: "a line that is no assignment",
    first: ["settings"],
    status: 78,
    breakIt: conf("# mine", "take it always"),
  },
  {
    name: "a settings file that is not there",
    first: ["settings"],
    status: 78,
    breakIt: (scene) => (scene.conf = undefined),
  },
  {
    name: "a region that is none",
    first: ["settings"],
    status: 78,
    breakIt: conf("AWS_REGION=frankfurt"),
  },
  {
    name: "half a key pair",
    first: ["settings"],
    status: 78,
    breakIt: environment({ AWS_ACCESS_KEY_ID: "AKIAIOSFODNN7EXAMPLE" }),
  },

  // Instance metadata
  {
    name: "metadata is off",
    first: ["metadata"],
    status: 75,
    start: { instance: { metadata: "disabled" } },
  },
  {
    name: "the token does not come back (a hop too far)",
    first: ["metadata"],
    status: 75,
    breakIt: ({ region }) =>
      region.faults.add({ service: "imds", method: "PUT", effect: { do: "silence" } }),
  },
  {
    name: "metadata is looked for in the wrong place",
    first: ["metadata"],
    status: 75,
    breakIt: environment({ AWS_EC2_METADATA_SERVICE_ENDPOINT: "http://127.0.0.1:1" }),
  },
  {
    name: "another region by a variable",
    first: ["identity"],
    status: 77,
    breakIt: conf("AWS_REGION=eu-central-1"),
  },
  {
    name: "an interface that is not there",
    first: ["interface"],
    status: 78,
    breakIt: conf("EIP_HEAL_INTERFACE=3"),
  },
  {
    name: "an interface that is not there, by the environment",
    first: ["interface"],
    status: 78,
    breakIt: environment({ EIP_HEAL_INTERFACE: "3" }),
  },
  {
    name: "a private address that is not there",
    first: ["interface"],
    status: 78,
    breakIt: conf("EIP_HEAL_PRIVATE_IP=10.9.9.9"),
  },

  // The way to EC2
  {
    name: "the endpoint's name does not resolve",
    first: ["endpoint"],
    status: 75,
    breakIt: environment({ AWS_ENDPOINT_URL_EC2: "https://ec2.no-such-host.invalid" }),
  },
  {
    name: "nobody listens at the endpoint",
    first: ["route"],
    status: 75,
    breakIt: environment({ AWS_ENDPOINT_URL_EC2: "http://127.0.0.1:1" }),
  },
  {
    name: "something else answers in EC2's place",
    first: ["ec2"],
    status: 75,
    breakIt: ({ region }) => region.faults.add({ service: "ec2", effect: { do: "html" } }),
  },
  {
    name: "EC2 throttles",
    first: ["ec2"],
    status: 75,
    breakIt: ({ region }) =>
      region.faults.add({
        service: "ec2",
        effect: { do: "error", code: "RequestLimitExceeded", status: 503 },
      }),
  },

  // Credentials
  { name: "no role", first: ["role"], status: 77, start: { instance: { role: null } } },
  {
    name: "EC2 may not assume the role",
    first: ["credentials"],
    status: 77,
    breakIt: ({ region }) =>
      region.region.setCredentials("full", { broken: "AssumeRoleUnauthorizedAccess" }),
  },
  {
    name: "EC2 may not assume the role, in China",
    first: ["credentials"],
    status: 77,
    start: { world: { region: "cn-north-1" } },
    breakIt: ({ region }) =>
      region.region.setCredentials("full", { broken: "AssumeRoleUnauthorizedAccess" }),
  },
  {
    name: "wrong keys in the environment",
    first: ["credentials"],
    status: 77,
    breakIt: environment({
      AWS_ACCESS_KEY_ID: "AKIAIOSFODNN7EXAMPLE",
      AWS_SECRET_ACCESS_KEY: "wrong",
    }),
  },

  // What is wanted
  {
    name: "an endpoint that does not speak TLS",
    first: ["tls"],
    status: 75,
    breakIt: (scene) => {
      const url = scene.region.ec2Url.replace("http:", "https:");
      environment({ AWS_ENDPOINT_URL_EC2: url })(scene);
    },
  },
  {
    name: "certificates that are not there, by the settings file",
    first: ["settings"],
    status: 78,
    breakIt: conf("NODE_EXTRA_CA_CERTS=/nonexistent/ca.pem"),
  },
  { name: "no tag", first: ["wanted"], status: 78, breakIt: tag({ "allocation-id": null }) },
  {
    name: "the tag holds a private address",
    first: ["wanted"],
    status: 78,
    breakIt: tag({ "allocation-id": "10.0.0.5" }),
  },
  {
    name: "the tag holds an association id",
    first: ["wanted"],
    status: 78,
    breakIt: tag({ "allocation-id": "eipassoc-0123456789abcdef0" }),
  },
  {
    name: "the tag names an address that is not there",
    first: ["address"],
    status: 78,
    breakIt: tag({ "allocation-id": NOT_THERE }),
  },
  {
    name: "the setting names an address that is not there",
    first: ["address"],
    status: 78,
    breakIt: conf(`EIP_HEAL_ALLOCATION_ID=${NOT_THERE}`),
  },
  {
    name: "the address is of a Local Zone",
    first: ["address"],
    status: 78,
    start: { address: { networkBorderGroup: "us-east-1-bos-1" } },
  },
  {
    name: "an empty pool",
    first: ["address"],
    status: 75,
    breakIt: conf("EIP_HEAL_POOL=eip-pool=web"),
  },
  {
    name: "a pool that others hold",
    first: ["address"],
    status: 75,
    start: fullPool(MINE + HOUR),
    breakIt: conf("EIP_HEAL_POOL=eip-pool=web"),
  },
  {
    name: "a pool that older ones hold",
    first: ["address"],
    status: 75,
    start: fullPool(MINE - HOUR),
    breakIt: conf("EIP_HEAL_POOL=eip-pool=web"),
  },

  // Who holds it
  {
    name: "a NAT gateway holds it",
    first: ["holder"],
    status: 78,
    start: {
      build: (world, _, allocationId) => void world.holdByService({ allocationId }, "nat-gateway"),
    },
  },
  {
    name: "a newer instance holds it",
    first: ["holder"],
    status: 69,
    start: heldBy({ launchTime: MINE + HOUR }),
  },
  {
    name: "an instance holds it, and the policy is never",
    first: ["holder"],
    status: 75,
    start: heldBy({ state: "stopped", keepsAssociation: true }),
    breakIt: conf("EIP_HEAL_TAKEOVER=never"),
  },
  {
    name: "a running instance holds it, and the policy is if-gone",
    first: ["holder"],
    status: 75,
    start: heldBy({ launchTime: MINE - HOUR }),
    breakIt: environment({ EIP_HEAL_TAKEOVER: "if-gone" }),
  },
  {
    name: "another Elastic IP must not be displaced",
    first: ["displaced"],
    status: 78,
    start: another,
    breakIt: conf("EIP_HEAL_DISPLACE=no"),
  },

  // Permissions
  {
    name: "no DescribeInstances, and the tag is only in EC2",
    first: ["describe-instances"],
    status: 77,
    start: { instance: { metadataTags: false } },
    breakIt: without("DescribeInstances"),
  },
  {
    name: "no DescribeInstances, and another instance holds the address",
    first: ["describe-instances"],
    status: 77,
    start: heldBy({ launchTime: MINE - HOUR }),
    breakIt: without("DescribeInstances"),
  },
  {
    name: "no DescribeAddresses for a pool",
    first: ["describe-addresses"],
    status: 77,
    start: { address: { tags: { "eip-pool": "web" } } },
    breakIt: (scene) => {
      conf("EIP_HEAL_POOL=eip-pool=web")(scene);
      without("DescribeAddresses")(scene);
    },
  },
  {
    name: "no describing at all",
    first: ["describe-instances"],
    status: 77,
    breakIt: without("DescribeInstances", "DescribeAddresses"),
  },
  {
    name: "no AssociateAddress",
    first: ["associate"],
    status: 77,
    breakIt: without("AssociateAddress"),
  },
  {
    name: "AssociateAddress on the address only, not on the instance",
    first: ["associate"],
    status: 77,
    breakIt: ({ region, me }) => {
      const [look, act] = [
        allow(ALL.slice(0, 2)),
        allow(ALL.slice(2), ["arn:aws:ec2:*:*:elastic-ip/*"]),
      ];
      region.region.setPolicy(me.role ?? "", { Statement: [...look.Statement, ...act.Statement] });
    },
  },
  {
    name: "no AssociateAddress, two interfaces",
    first: ["associate"],
    status: 77,
    start: { instance: { enis: [{}, {}] } },
    breakIt: without("AssociateAddress"),
  },

  {
    name: "a lifecycle hook whose group only Auto Scaling would tell",
    first: ["launch-hook"],
    status: 77,
    start: { ...inGroup, instance: { ...inGroup.instance, metadataTags: false } },
    breakIt: (scene) => {
      conf(`EIP_HEAL_LIFECYCLE_HOOK=${HOOK}`)(scene);
      const actions = [...ALL, "autoscaling:CompleteLifecycleAction"];
      scene.region.region.setPolicy(scene.me.role ?? "", allow(actions));
    },
  },

  // Two at once
  {
    name: "metadata is off, and the policy is never",
    first: ["metadata", "holder"],
    status: 75,
    start: heldBy({ launchTime: MINE - HOUR }, { metadata: "disabled" }),
    breakIt: conf("EIP_HEAL_TAKEOVER=never"),
  },
  {
    name: "no role and no tag",
    first: ["role", "wanted"],
    status: 77,
    start: { instance: { role: null } },
    breakIt: tag({ "allocation-id": null }),
  },
  {
    name: "no tag, and no AssociateAddress",
    first: ["wanted", "associate"],
    status: 78,
    breakIt: (scene) => {
      tag({ "allocation-id": null })(scene);
      without("AssociateAddress")(scene);
    },
  },
  {
    name: "a wrong setting, and a NAT gateway",
    first: ["settings", "holder"],
    status: 78,
    start: {
      build: (world, _, allocationId) => void world.holdByService({ allocationId }, "nat-gateway"),
    },
    breakIt: conf("EIP_HEAL_OPTIONAL=perhaps"),
  },
  {
    name: "another Elastic IP in the place, and no AssociateAddress",
    first: ["displaced", "associate"],
    status: 78,
    start: another,
    breakIt: (scene) => {
      conf("EIP_HEAL_DISPLACE=no")(scene);
      without("AssociateAddress")(scene);
    },
  },
  {
    name: "the clock ahead, and no DescribeInstances for the holder",
    first: ["describe-instances"],
    status: 77,
    start: heldBy({ launchTime: MINE - HOUR }),
    breakIt: (scene) => {
      scene.offsetMs = -9 * HOUR;
      without("DescribeInstances")(scene);
    },
  },
];
