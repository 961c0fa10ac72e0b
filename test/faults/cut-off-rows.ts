/**
 * Troubles of the network itself. They are played in a network namespace of their own, whose only
 * interface is its loopback: there the real addresses and names of AWS are nobody's, or the test's.
 */
import { execFileSync } from "node:child_process";
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openTlsFront } from "./fronts.ts";
import type { Row, Trouble } from "./stage.ts";

const IMDS_IPV4 = "169.254.169.254";
const IMDS_IPV6 = "fd00:ec2::254";
/** Of a network for documentation: nobody has it. */
const FAR_AWAY = "198.51.100.7";
const NAME = "ec2.us-east-1.amazonaws.com";
/** The endpoint that speaks IPv6 too. */
const DUAL_STACK_NAME = "ec2.us-east-1.api.aws";

const ip = (...args: string[]) => execFileSync("ip", args);

/** No variable that says where instance metadata is: at its own address, over IPv4 or IPv6. */
const overMode = (mode: "IPv4" | "IPv6") => ({
  AWS_EC2_METADATA_SERVICE_ENDPOINT: "",
  AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE: mode,
});

/** Instance metadata at port 80 of every address that there is or will be. */
const imdsEverywhere: Row["served"] = (me) => ({ imds: { [me]: { host: "::", port: 80 } } });
const ec2Everywhere: Row["served"] = () => ({ ec2: { host: "0.0.0.0", port: 8080 } });
const farAway = { AWS_ENDPOINT_URL_EC2: `http://${FAR_AWAY}:8080` };

/** EC2 at a name of its own, with a certificate that is trusted; what the name resolves to is up to the row. */
async function atItsName(
  ec2Url: string,
  name = NAME,
  host = "127.0.0.1",
): Promise<Trouble & { hosts: string }> {
  const folder = mkdtempSync(join(tmpdir(), "eip-heal-name-"));
  const front = await openTlsFront(ec2Url, { name, host, port: 443 });
  front.trust();
  const hosts = join(folder, "hosts");
  writeFileSync(hosts, "127.0.0.1 localhost\n");
  execFileSync("mount", ["--bind", hosts, "/etc/hosts"]);
  execFileSync("mount", ["--bind", "/dev/null", "/etc/resolv.conf"]);
  return {
    hosts,
    environment: { AWS_ENDPOINT_URL_EC2: "", NODE_EXTRA_CA_CERTS: front.authority },
    cleanUp: () => {
      front.close();
      execFileSync("umount", ["/etc/hosts"]);
      rmSync(folder, { recursive: true });
    },
  };
}

export const ROWS: readonly Row[] = [
  {
    name: "instance metadata over IPv6 only",
    served: imdsEverywhere,
    begin: () => {
      ip("-6", "address", "add", `${IMDS_IPV6}/128`, "dev", "lo", "nodad");
      return { environment: overMode("IPv6"), felt: () => true };
    },
    told: [],
    status: 0,
    passes: true,
  },
  {
    name: "no route to instance metadata over IPv6",
    served: imdsEverywhere,
    begin: () => ({
      environment: overMode("IPv6"),
      end: () => ip("-6", "address", "add", `${IMDS_IPV6}/128`, "dev", "lo", "nodad"),
    }),
    told: [
      `PUT http://[${IMDS_IPV6}]/latest/api/token`,
      "no route to it",
      "is this an EC2 instance",
    ],
    status: 75,
  },
  {
    name: "no route to instance metadata",
    served: imdsEverywhere,
    begin: () => ({
      environment: overMode("IPv4"),
      end: () => ip("address", "add", `${IMDS_IPV4}/32`, "dev", "lo"),
    }),
    told: [`PUT http://${IMDS_IPV4}/latest/api/token`, "no route to it", "is this an EC2 instance"],
    status: 75,
  },
  {
    name: "instance metadata is a black hole",
    served: imdsEverywhere,
    begin: () => {
      // What loops back and is for nobody here is dropped without a word.
      ip("route", "add", `${IMDS_IPV4}/32`, "dev", "lo");
      return {
        environment: overMode("IPv4"),
        end: () => ip("address", "add", `${IMDS_IPV4}/32`, "dev", "lo"),
      };
    },
    told: [`PUT http://${IMDS_IPV4}/latest/api/token`, "no complete answer within 2 s"],
    status: 75,
  },
  {
    name: "no route to EC2",
    served: ec2Everywhere,
    begin: () => ({
      environment: farAway,
      end: () => ip("address", "add", `${FAR_AWAY}/32`, "dev", "lo"),
    }),
    told: [`ec2:DescribeAddresses at ${FAR_AWAY}:8080`, "no route to it"],
    status: 75,
  },
  {
    name: "EC2 is a black hole",
    served: ec2Everywhere,
    begin: () => {
      ip("route", "add", `${FAR_AWAY}/32`, "dev", "lo");
      return {
        environment: farAway,
        end: () => ip("address", "add", `${FAR_AWAY}/32`, "dev", "lo"),
      };
    },
    told: [`ec2:DescribeAddresses at ${FAR_AWAY}:8080`, "no connection to EC2 within 3 s"],
    status: 75,
    deadline: "6s",
  },
  {
    name: "EC2 is a black hole, and there is no public IPv4",
    instance: { autoPublicIp: false },
    served: ec2Everywhere,
    begin: () => {
      ip("route", "add", `${FAR_AWAY}/32`, "dev", "lo");
      return { environment: farAway };
    },
    told: [
      "no connection to EC2 within 3 s",
      "this instance has no public IPv4 address: let its subnet assign one, add an interface endpoint for EC2 to the VPC, or give it IPv6",
    ],
    status: 75,
    deadline: "6s",
    isForGood: true,
  },
  {
    name: "only IPv6 leads to EC2",
    instance: { autoPublicIp: false, enis: [{ ipv6s: ["2001:db8::5"] }] },
    begin: async ({ region }) => {
      const { hosts, ...named } = await atItsName(region.ec2Url, DUAL_STACK_NAME, "::1");
      // The ordinary endpoint is a black hole, as without a public IPv4 address and a NAT.
      ip("route", "add", `${FAR_AWAY}/32`, "dev", "lo");
      appendFileSync(hosts, `${FAR_AWAY} ${NAME}\n::1 ${DUAL_STACK_NAME}\n`);
      return { ...named, felt: () => true };
    },
    told: [],
    status: 0,
    deadline: "20s",
    passes: true,
  },
  {
    name: "IPv6 in a region whose EC2 has no name for it, and the way over IPv4 comes late",
    instance: { autoPublicIp: false, enis: [{ ipv6s: ["2001:db8::5"] }] },
    begin: async ({ region }) => {
      const { hosts, ...named } = await atItsName(region.ec2Url, NAME, "0.0.0.0");
      ip("route", "add", `${FAR_AWAY}/32`, "dev", "lo");
      appendFileSync(hosts, `${FAR_AWAY} ${NAME}\n`);
      return { ...named, end: () => ip("address", "add", `${FAR_AWAY}/32`, "dev", "lo") };
    },
    told: ["this instance has no public IPv4 address: let its subnet assign one"],
    status: 75,
    deadline: "8s",
  },
  {
    name: "EC2 under its own name",
    begin: async ({ region }) => {
      const { hosts, ...named } = await atItsName(region.ec2Url);
      appendFileSync(hosts, `127.0.0.1 ${NAME}\n`);
      return { ...named, felt: () => true };
    },
    told: [],
    status: 0,
    passes: true,
  },
  {
    name: "no DNS",
    begin: async ({ region }) => {
      const { hosts, ...named } = await atItsName(region.ec2Url);
      return { ...named, end: () => appendFileSync(hosts, `127.0.0.1 ${NAME}\n`) };
    },
    told: [`ec2:DescribeAddresses at ${NAME}`, "no answer from the DNS resolver"],
    status: 75,
  },
];
