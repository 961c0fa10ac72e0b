/** The fields of an answer, so that a test can put something else into one of them. */

export interface Field {
  /** Of a line of a list it is empty. */
  readonly name: string;
  /** Where the value begins. */
  readonly at: number;
  readonly value: string;
  /** The field as a whole, with its name. */
  readonly all: string;
  readonly allAt: number;
}

/** The fields of XML, of JSON or of a list of lines, in their order. */
export function fieldsOf(text: string): Field[] {
  const pattern = text.trimStart().startsWith("<")
    ? /<(\w+)>([^<]*)<\/\1>/g
    : text.trimStart().startsWith("{")
      ? /("\w+")\s*:\s*("(?:[^"\\]|\\.)*"|[^,}\]\s]+)/g
      : /()(.+)/g;
  return [...text.matchAll(pattern)].map((match) => {
    const [all, name = "", value = ""] = match;
    const at = match.index + all.lastIndexOf(value);
    return { name: name.replaceAll('"', ""), all, allAt: match.index, value, at };
  });
}
