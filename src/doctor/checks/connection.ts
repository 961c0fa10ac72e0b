/** Checks the connection to EC2 step by step, from the name of the endpoint to an answer. */
import { seconds } from "../../model/duration.ts";
import { OWN_CODE, Failure, lacksPermission } from "../../model/failure.ts";
import { isIpv4 } from "../../model/ids.ts";
import { egressHint } from "../../model/network-error.ts";
import { hostOf } from "../../model/url.ts";
import type { Endpoint } from "../../run/ports.ts";
import { failing, ok } from "../runner.ts";
import { permissionOf, type Checks, type CheckContext } from "../context.ts";

/** Clock error in milliseconds from which doctor warns; EC2 refuses signatures from 15 min on. */
const CLOCK_WARNING_MS = 60_000;

/** The checks of the connection; each depends on the one before. */
export function checkConnection({
  ports,
  signal,
  firstCall,
  endpointVariable,
  correct,
}: CheckContext): Checks<"endpoint" | "route" | "tls" | "clock" | "ec2"> {
  return {
    async endpoint(resultOf) {
      const session = await resultOf("metadata");
      const self = await resultOf("identity");
      const endpoints = await session.endpoints(self);
      const results = await Promise.allSettled(
        endpoints.map(async (endpoint) => {
          const host = hostOf(wayOf(endpoint));
          const addresses =
            isIpv4(host) || host.includes(":") ? [host] : await ports.network.resolve(host, signal);
          return { endpoint, addresses };
        }),
      );
      const found = results.flatMap((result) =>
        result.status === "fulfilled" ? [result.value] : [],
      );
      if (found.length === 0) {
        const [first] = results;
        const reason: unknown = first?.status === "rejected" ? first.reason : undefined;
        if (!(reason instanceof Failure)) throw reason;
        const variable = endpoints[0]?.proxy?.variable ?? endpointVariable();
        return failing(
          reason,
          variable === undefined
            ? `is ${self.region} the right region, and may this instance ask the DNS of its VPC (enableDnsSupport)?`
            : correct(variable),
        );
      }
      return ok(
        found
          .map(({ endpoint, addresses }) => {
            const [first = ""] = addresses;
            const { hostname, host } = wayOf(endpoint);
            const way = first === hostname ? host : `${host} is ${addresses.join(", ")}`;
            return endpoint.proxy === undefined
              ? way
              : `${endpoint.url.host} by the proxy of ${endpoint.proxy.variable}: ${way}`;
          })
          .join("; "),
        found.map(({ endpoint }) => endpoint),
      );
    },

    async route(resultOf) {
      const self = await resultOf("identity");
      const endpoints = await resultOf("endpoint");
      const hint = egressHint("EC2", self);
      let last: unknown;
      for (const endpoint of endpoints) {
        try {
          const way = wayOf(endpoint);
          const address = await ports.network.connect(way, signal);
          if (endpoint.proxy !== undefined) {
            return ok(`the proxy ${way.host} accepts connections at ${address}`, endpoint);
          }
          const by = isPrivate(address)
            ? "by a private address, such as an interface endpoint's"
            : hint === undefined
              ? "by the public IPv4 address of this instance"
              : address.includes(":")
                ? "by IPv6"
                : "by a NAT: this instance has no public IPv4 address";
          return ok(`${endpoint.url.host} accepts connections at ${address}, ${by}`, endpoint);
        } catch (error) {
          last = error;
        }
      }
      if (!(last instanceof Failure)) throw last;
      const variable = endpoints[0]?.proxy?.variable ?? endpointVariable();
      return failing(
        last,
        hint !== undefined && variable === undefined
          ? hint
          : variable === undefined
            ? "let the security group, the network ACL and the route table of the subnet pass HTTPS (443) to it"
            : correct(variable),
      );
    },

    async tls(resultOf) {
      const endpoint = await resultOf("route");
      const askedAt = ports.clock.date().getTime();
      let greeting: Awaited<ReturnType<typeof ports.network.greet>>;
      try {
        greeting = await ports.network.greet(endpoint.url, endpoint.agent, signal);
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        const variable = endpointVariable();
        // There is a server, but with another protocol than in the variable, such as https:// with a plain HTTP port.
        return failing(error, error.details.remedy ?? (variable && correct(variable)));
      }
      const { protocol, date } = greeting;
      // The header has whole seconds, and the answer took half of the round trip to arrive.
      const offsetMs =
        date === undefined
          ? 0
          : date.getTime() + 500 - (askedAt + ports.clock.date().getTime()) / 2;
      const by = endpoint.proxy === undefined ? "" : ` by the proxy ${endpoint.proxy.url.host}`;
      return ok(`${endpoint.url.host} speaks ${protocol}${by}`, {
        endpoint,
        offsetMs,
        ...(date && { date }),
      });
    },

    async clock(resultOf) {
      const { date, offsetMs } = await resultOf("tls");
      if (date === undefined) {
        return { mark: "warning", found: "EC2 has not told the time", value: undefined };
      }
      const off = Math.abs(offsetMs);
      const told = `it is ${seconds(off)} ${offsetMs > 0 ? "behind" : "ahead of"} EC2's`;
      if (off < CLOCK_WARNING_MS) {
        return ok(off < 2_000 ? "it agrees with EC2's to the second" : told, undefined);
      }
      const remedy = "let chrony set it from the Amazon Time Sync Service (169.254.169.123)";
      const commands = ["systemctl restart chronyd", "chronyc makestep"];
      return {
        mark: "warning",
        found: `${told}; a heal corrects its signatures`,
        remedy,
        commands,
        value: undefined,
      };
    },

    async ec2(resultOf) {
      await Promise.all([resultOf("credentials"), resultOf("clock")]);
      const { ec2, refusal } = await firstCall(resultOf);
      if (
        refusal !== undefined &&
        !lacksPermission(refusal) &&
        permissionOf(refusal) !== "allowed"
      ) {
        return failing(
          refusal,
          refusal.kind === "throttled"
            ? "wait: EC2 limits the requests of the account"
            : refusal.code === OWN_CODE.notOfAws
              ? "something between here and EC2 answers in its place: let HTTPS pass it untouched"
              : undefined,
        );
      }
      return ok("answers", ec2);
    },
  };
}

/** The host to connect to: the endpoint, or the proxy. */
function wayOf({ url, proxy }: Endpoint): URL {
  return proxy === undefined ? url : proxy.url;
}

/** Whether it is a private address (RFC 1918, RFC 4193, loopback). */
function isPrivate(address: string): boolean {
  return /^(10\.|127\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|f[cd]|::1$)/i.test(address);
}
