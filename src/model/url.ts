/** Takes a URL apart, for Node's network functions and for messages. */

/** The host, without the brackets of an IPv6 address. */
export function hostOf({ hostname }: URL): string {
  return hostname.replace(/[[\]]/g, "");
}

/** The port, or the default one of HTTP or HTTPS. */
export function portOf({ port, protocol }: URL): number {
  return Number(port) || (protocol === "http:" ? 80 : 443);
}

/** The URL for messages, without what may be secret: user, password and query. */
export function nameUrl({ protocol, host, pathname }: URL): string {
  return `${protocol}//${host}${pathname}`;
}
