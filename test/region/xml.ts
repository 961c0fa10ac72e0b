/** Writes XML the way the EC2 API does: lists are `<item>` elements, what is absent has no element. */

export type Xml =
  | string
  | number
  | boolean
  | undefined
  | readonly Xml[]
  | { readonly [element: string]: Xml };

/** The content of an element. */
export function xml(value: Xml): string {
  if (value === undefined) return "";
  if (typeof value !== "object") return escape(String(value));
  if (isList(value)) return value.map((item) => element("item", item)).join("");
  return Object.entries(value)
    .map(([name, content]) => (content === undefined ? "" : element(name, content)))
    .join("");
}

// --- internal ---

function element(name: string, content: Xml): string {
  const inner = xml(content);
  return inner === "" ? `<${name}/>` : `<${name}>${inner}</${name}>`;
}

function isList(
  value: readonly Xml[] | { readonly [element: string]: Xml },
): value is readonly Xml[] {
  return Array.isArray(value);
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
};

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (character) => ENTITIES[character] ?? character);
}
