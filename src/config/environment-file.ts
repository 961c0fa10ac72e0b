/**
 * Parses text as systemd's EnvironmentFile= does (systemd.exec(5)), so that /etc/eip-heal.conf means the same to the
 * program as to a unit that loads it. There are no inline comments: the value of `A=b # c` is `b # c`.
 */

export interface EnvironmentFile {
  readonly variables: Readonly<Record<string, string>>;
  /** Variables that are assigned more than once; the last assignment counts. */
  readonly repeated: readonly string[];
  /** Lines that are not assignments, and why not. */
  readonly problems: readonly { readonly line: number; readonly why: string }[];
}

type State =
  | "before name"
  | "name"
  | "before value"
  | "value"
  | "escape"
  | "single quotes"
  | "double quotes"
  | "escape in double quotes"
  | "comment";

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
// WHITESPACE and NEWLINE in systemd's source: a lone CR ends a line too.
const WHITE = /[ \t\n\r]/;
const NEWLINE = /[\n\r]/;

/** Parses the content of the file. */
export function parseEnvironmentFile(text: string): EnvironmentFile {
  const nul = text.indexOf("\0");
  if (nul !== -1) {
    // Versions of systemd differ in how they treat it, and no environment variable can contain one.
    const line = text.slice(0, nul).split("\n").length;
    const why = "a NUL character, which no text has; if it is in UTF-16, save it as UTF-8";
    return { variables: {}, repeated: [], problems: [{ line, why }] };
  }
  const variables: Record<string, string> = {};
  const repeated = new Set<string>();
  const problems: { line: number; why: string }[] = [];
  let state: State = "before name";
  let name = "";
  let value = "";
  let kept = 0; // length of the value without trailing white space outside quotes
  let line = 1;
  let startedAt = 1;

  const keep = (text: string) => {
    value += text;
    kept = value.length;
  };
  const finish = () => {
    const key = name.replace(/[ \t]+$/, "");
    if (state === "name" || !NAME.test(key)) {
      // Only the beginning is quoted: the rest of a mistyped line may be a secret.
      const beginning = `${/^\w{0,40}/.exec(key)?.[0]}…`;
      problems.push({
        line: startedAt,
        why: /^export\s/.test(key)
          ? "KEY=VALUE without export before it: this is no shell script"
          : `not KEY=VALUE: ${beginning}`,
      });
    } else {
      if (Object.hasOwn(variables, key)) repeated.add(key);
      variables[key] = value.slice(0, kept);
    }
    [state, name, value, kept] = ["before name", "", "", 0];
  };

  for (const character of text) {
    const newline = NEWLINE.test(character);
    switch (state) {
      case "before name":
        startedAt = line;
        if (character === "#" || character === ";") state = "comment";
        else if (!WHITE.test(character)) [state, name] = ["name", character];
        break;
      case "name":
        if (newline) finish();
        else if (character === "=") state = "before value";
        else name += character;
        break;
      case "before value": // also between two quoted parts
        if (newline) finish();
        else if (character === "'") state = "single quotes";
        else if (character === '"') state = "double quotes";
        else if (character === "\\") state = "escape";
        else if (!WHITE.test(character)) {
          state = "value";
          keep(character);
        }
        break;
      case "value":
        if (newline) finish();
        else if (character === "\\") state = "escape";
        else if (WHITE.test(character)) value += character;
        else keep(character);
        break;
      case "escape": // an escaped newline continues the line
        state = "value";
        if (!newline) keep(character);
        break;
      case "single quotes":
        if (character === "'") state = "before value";
        else keep(character);
        break;
      case "double quotes":
        if (character === '"') state = "before value";
        else if (character === "\\") state = "escape in double quotes";
        else keep(character);
        break;
      case "escape in double quotes": // special only before what a shell would honour
        state = "double quotes";
        if ('"\\`$'.includes(character)) keep(character);
        else if (character !== "\n") keep(`\\${character}`);
        break;
      case "comment":
        // Not as systemd up to 253, where a backslash at the end made the next line part of the comment.
        if (newline) state = "before name";
        break;
    }
    if (character === "\n") line++;
  }
  if (state === "single quotes" || state === "double quotes") {
    problems.push({
      line: startedAt,
      why: `a quote is opened and never closed: ${name.trim()}`,
    });
  } else if (name !== "") {
    // A backslash as the very last character keeps the white space before it.
    if (state === "escape") kept = value.length;
    finish();
  }
  return { variables, repeated: [...repeated], problems };
}
