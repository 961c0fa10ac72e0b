/**
 * Chooses the proxy for a request as the AWS CLI does: by the variables in lower and upper case, with the rules of Python's
 * urllib.request (getproxies_environment, proxy_bypass_environment), which botocore uses.
 */
import type { Environment } from "../model/environment.ts";
import { Failure } from "../model/failure.ts";
import { withoutPassword } from "../model/text.ts";

export interface Proxy {
  readonly url: URL;
  /** Where it is set: `HTTPS_PROXY`. */
  readonly variable: string;
}

/**
 * Reads and validates the variables.
 *
 * @returns a function that returns the proxy for requests to a URL, if any
 * @throws Failure `misconfigured` for a value that is not the URL of an HTTP proxy
 */
export function proxiesIn(environment: Environment): (url: URL) => Proxy | undefined {
  const byProtocol: Record<string, Proxy | undefined> = {
    "https:": proxyOf("https_proxy", environment),
    "http:": proxyOf("http_proxy", environment),
  };
  const [, exempt = ""] = valueOf("no_proxy", environment);
  return (url) => (isExempt(url, exempt) ? undefined : byProtocol[url.protocol]);
}

/** The lower-case name takes precedence even if its value is empty, so that it can switch off a proxy set for everybody. */
function valueOf(name: string, environment: Environment): [string, string | undefined] {
  const variable = environment[name] === undefined ? name.toUpperCase() : name;
  return [variable, environment[variable]?.trim()];
}

function proxyOf(name: string, environment: Environment): Proxy | undefined {
  const [variable, value] = valueOf(name, environment);
  if (!value) return undefined;
  // Without a scheme it is http, as for the AWS CLI.
  const url = URL.parse(value.includes("://") ? value : `http://${value.replace(/^\/\//, "")}`);
  if (url !== null && /^https?:$/.test(url.protocol) && canBeDecoded(url)) return { url, variable };
  throw new Failure("misconfigured", {
    why: `${variable} is ${JSON.stringify(withoutPassword(value))}; accepted: the URL of an HTTP proxy, such as http://proxy.example.com:3128`,
    variable,
  });
}

/** Whether the list contains the host or a domain above it. The list `*` contains every host. */
function isExempt({ hostname, host }: URL, list: string): boolean {
  if (list === "*") return true;
  return list
    .split(",")
    .map((entry) => entry.trim().replace(/^\.+/, "").toLowerCase())
    .filter((entry) => entry !== "")
    .some((entry) => [hostname, host].some((name) => name === entry || name.endsWith(`.${entry}`)));
}

/** The Proxy-Authorization header for the user and password in the URL, if it has them. */
export function authorizationFor({ username, password }: URL): string | undefined {
  if (username === "" && password === "") return undefined;
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return `Basic ${Buffer.from(pair).toString("base64")}`;
}

function canBeDecoded(url: URL): boolean {
  try {
    authorizationFor(url);
    return true;
  } catch {
    return false;
  }
}

/** Thrown if the proxy refuses to connect: with which status, and what to do about it. */
export class ProxyRefusal extends Error {
  override readonly name = "ProxyRefusal";
  readonly remedy: string;

  constructor({ url, variable }: Proxy, target: string, status: number) {
    const lacksPassword = url.username === "" && url.password === "";
    super(`the proxy ${url.host} answers ${status} to CONNECT ${target}`);
    this.remedy =
      status !== 407 && status !== 401
        ? `let the proxy pass CONNECT ${target}`
        : lacksPassword
          ? `the proxy wants a password: give it in ${variable}, as http://USER:PASSWORD@${url.host}`
          : `correct the user and password in ${variable}`;
  }
}
