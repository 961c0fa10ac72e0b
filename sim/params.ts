/** The parameters of a request to a Query API. */

import { ApiError } from "./errors.ts";
import type { Filter } from "./filters.ts";

/** The parameters of one request; what is asked for is ticked off, the rest is unknown to the action. */
export class Params {
  readonly #params: ReadonlyMap<string, string>;
  readonly #asked = new Set(["Action", "Version"]);

  constructor(form: URLSearchParams) {
    this.#params = new Map(form);
  }

  text(name: string): string | undefined {
    this.#asked.add(name);
    return this.#params.get(name);
  }

  flag(name: string): boolean | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    if (value === "true" || value === "false") return value === "true";
    throw new ApiError(
      "InvalidParameterValue",
      `Invalid value '${value}' for ${name}. Must be true or false.`,
    );
  }

  number(name: string): number | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    if (/^\d+$/.test(value)) return Number(value);
    throw new ApiError(
      "InvalidParameterValue",
      `Invalid value '${value}' for ${name}. Must be a number.`,
    );
  }

  /** `Name.1`, `Name.2`, …; Auto Scaling says `Name.member.1`. */
  list(name: string): string[] {
    const values: string[] = [];
    for (let n = 1; ; n++) {
      const value = this.text(`${name}.${n}`);
      if (value === undefined) return values;
      values.push(value);
    }
  }

  /** `Filter.N.Name` with `Filter.N.Value.M`. */
  filters(): Filter[] {
    const filters: Filter[] = [];
    for (let n = 1; ; n++) {
      const name = this.text(`Filter.${n}.Name`);
      if (name === undefined) return filters;
      filters.push({ name, values: this.list(`Filter.${n}.Value`) });
    }
  }

  /** Refuses the request if it has a parameter that the action has not asked for. */
  nothingElse(): void {
    for (const name of this.#params.keys()) {
      if (!this.#asked.has(name)) {
        throw new ApiError("UnknownParameter", `The parameter ${name} is not recognized`);
      }
    }
  }
}
