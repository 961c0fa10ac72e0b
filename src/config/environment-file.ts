/**
 * Reads text as systemd's EnvironmentFile= does (systemd.exec(5)), so that /etc/eip-heal.conf means the
 * same to the program as to a unit that loads it. There are no inline comments: `A=b # c` is `b # c`.
 */

export interface EnvironmentFile {
  readonly variables: Readonly<Record<string, string>>;
  /** The variables that are assigned more than once; the last one counts. */
  readonly repeated: readonly string[];
  /** The lines that are no assignments, by number, and why. */
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
// Exactly what systemd takes for these (WHITESPACE and NEWLINE in its source): a lone CR ends a line too.
const WHITE = /[ \t\n\r]/;
const NEWLINE = /[\n\r]/;

/** @param text the content of the file */
export function parseEnvironmentFile(text: string): EnvironmentFile {
  const nul = text.indexOf("\0");
  if (nul !== -1) {
    // What systemd makes of it depends on its version, and no variable of the environment can hold one.
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
  let kept = 0; // length of the value without the white space that trails it outside quotes
  let line = 1;
  let startedAt = 1;

  const keep = (more: string) => {
    value += more;
    kept = value.length;
  };
  const finish = () => {
    const key = name.replace(/[ \t]+$/, "");
    if (state === "name" || !NAME.test(key)) {
      // Its beginning only: the rest of a mistyped line may be a secret.
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
        // Up to systemd 253 a backslash at its end made the next line part of a comment, which nobody wants.
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
    // A backslash as the very last character guards the white space before it.
    if (state === "escape") kept = value.length;
    finish();
  }
  return { variables, repeated: [...repeated], problems };
}
