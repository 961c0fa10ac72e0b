/** The simulated region as a program: for demos, boot tests and trying things out by hand. */

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

import { CONTROL_HELP, OPERATIONS, startControl, urlsOf } from "./control.ts";
import { startRegion } from "./server.ts";
import type { Endpoint } from "./server.ts";
import { aWorld, worldFrom } from "./world.ts";
import type { JsonWorld, World } from "./world.ts";

const HELP = `usage: node sim/main.ts [options]

A simulated AWS region: the EC2 and Auto Scaling APIs and instance metadata (IMDSv2). Prints one line of JSON with its URLs when ready.
eip-heal finds it by AWS_ENDPOINT_URL_EC2, AWS_ENDPOINT_URL_AUTO_SCALING and, for one of the instances, AWS_EC2_METADATA_SERVICE_ENDPOINT.

  --world FILE.json          the world to start with; default: one free address, and one instance tagged with it
  --ec2 HOST:PORT            where the EC2 API listens; default: a free port of 127.0.0.1
  --auto-scaling HOST:PORT   where the Auto Scaling API listens; default: a free port of 127.0.0.1
  --imds-host HOST           where the instances' own IMDS listeners are; default: 127.0.0.1
  --imds-by-source HOST:PORT one IMDS for all instances, told apart by source address (their primary private IPv4)
  --control HOST:PORT|PATH   the control API, at a port or a Unix socket
  --tls-cert FILE --tls-key FILE   the APIs over TLS
  --help

A world: {"region":"us-east-1","instances":[{"tags":{"allocation-id":"eipalloc-0123456789abcdef0"},"metadataTags":true}],
          "addresses":[{"allocationId":"eipalloc-0123456789abcdef0","heldBy":0}]}

The control API:
${CONTROL_HELP}
operations: ${OPERATIONS.join(" ")} launch plug unplug
`;

const { values: flags } = parseArgs({
  options: {
    world: { type: "string" },
    ec2: { type: "string" },
    "auto-scaling": { type: "string" },
    "imds-host": { type: "string" },
    "imds-by-source": { type: "string" },
    control: { type: "string" },
    "tls-cert": { type: "string" },
    "tls-key": { type: "string" },
    help: { type: "boolean" },
  },
});

if (flags.help === true) {
  process.stdout.write(HELP);
} else {
  await run();
}

async function run(): Promise<void> {
  const cert = flags["tls-cert"];
  const key = flags["tls-key"];
  if ((cert === undefined) !== (key === undefined))
    throw new Error("--tls-cert and --tls-key go together");
  const running = await startRegion(readWorld(), {
    ...(flags.ec2 !== undefined && { ec2: endpoint(flags.ec2) }),
    ...(flags["auto-scaling"] !== undefined && {
      autoScaling: endpoint(flags["auto-scaling"]),
    }),
    ...(flags["imds-host"] !== undefined && { imdsHost: flags["imds-host"] }),
    ...(flags["imds-by-source"] !== undefined && {
      imdsBySource: endpoint(flags["imds-by-source"]),
    }),
    ...(cert !== undefined &&
      key !== undefined && {
        tls: { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") },
      }),
  });

  const close = (): void => {
    void running.close().then(() => process.exit(0));
  };
  process.once("SIGINT", close);
  process.once("SIGTERM", close);

  let control: string | undefined;
  if (flags.control !== undefined) {
    const place = flags.control.includes("/") ? { path: flags.control } : endpoint(flags.control);
    const server = await startControl(running, place, close);
    const at = server.address();
    control =
      at === null || typeof at === "string"
        ? `unix:${at ?? ""}`
        : `http://${at.address}:${at.port}`;
  }
  process.stdout.write(
    `${JSON.stringify({ ...urlsOf(running), ...(control !== undefined && { control }) })}\n`,
  );
}

function readWorld(): World {
  if (flags.world !== undefined)
    return worldFrom(JSON.parse(readFileSync(flags.world, "utf8")) as JsonWorld);
  const world = aWorld();
  const address = world.address();
  world.instance({ tags: { "allocation-id": address.allocationId }, metadataTags: true });
  return world;
}

/** `HOST:PORT`, `[IPv6]:PORT`; port 0 is any free one. */
function endpoint(text: string): Endpoint {
  const parts = /^\[?([^\]]+?)\]?:(\d+)$/.exec(text);
  if (parts === null) throw new Error(`not HOST:PORT: ${text}`);
  return { host: parts[1] ?? "", port: Number(parts[2]) };
}
