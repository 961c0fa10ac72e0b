/** Writes XML the way the Query APIs do: what is absent has no element. */

export type Xml =
  | string
  | number
  | boolean
  | undefined
  | readonly Xml[]
  | { readonly [element: string]: Xml };

/** The content of an element. The members of a list are `<item>` elements in EC2's answers, `<member>` in others'. */
export function xml(value: Xml, item = "item"): string {
  if (value === undefined) return "";
  if (typeof value !== "object") return escape(String(value));
  if (isList(value)) return value.map((one) => element(item, one, item)).join("");
  return Object.entries(value)
    .map(([name, content]) => (content === undefined ? "" : element(name, content, item)))
    .join("");
}

// --- internal ---

function element(name: string, content: Xml, item: string): string {
  const inner = xml(content, item);
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
