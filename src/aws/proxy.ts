/**
 * The proxy that requests go through, chosen as the AWS CLI chooses it: by the variables, in both cases, and by the rules of
 * Python's urllib.request (getproxies_environment, proxy_bypass_environment), which botocore asks.
 */
import { Failure } from "../model/failure.ts";
import { withoutPassword } from "../model/text.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export interface Proxy {
  readonly url: URL;
  /** Where it is set: `HTTPS_PROXY`. */
  readonly variable: string;
}

/**
 * Reads the variables.
 *
 * @returns the proxy for requests to a URL, if they go through one
 * @throws Failure `misconfigured` for what is no URL of an HTTP proxy
 */
export function proxiesIn(environment: Environment): (url: URL) => Proxy | undefined {
  const byProtocol: Record<string, Proxy | undefined> = {
    "https:": proxyOf("https_proxy", environment),
    "http:": proxyOf("http_proxy", environment),
  };
  const [, exempt = ""] = valueOf("no_proxy", environment);
  return (url) => (isExempt(url, exempt) ? undefined : byProtocol[url.protocol]);
}

/** The lower-case name comes first, even if it is empty: so a proxy for all is switched off for one. */
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

/** Is the host, or a domain that it is in, one of those in the list? `*` stands for all. */
function isExempt({ hostname, host }: URL, list: string): boolean {
  if (list === "*") return true;
  return list
    .split(",")
    .map((entry) => entry.trim().replace(/^\.+/, "").toLowerCase())
    .filter((entry) => entry !== "")
    .some((entry) => [hostname, host].some((name) => name === entry || name.endsWith(`.${entry}`)));
}

/** What a proxy that asks for a password is sent; undefined without one. */
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

/** The proxy has not let a connection through: with what status, and what to do about it. */
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
