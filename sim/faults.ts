/** Faults on demand: which requests go wrong, for how long, and how. The servers ask for each request and obey. */

/** How a request goes wrong. What says "applied" still does what the request asked for. */
export type Effect =
  /** A fixed answer. Not applied. */
  | {
      readonly do: "status";
      readonly status: number;
      readonly body?: string;
      readonly headers?: Readonly<Record<string, string>>;
    }
  /** An error of the API. Not applied. */
  | {
      readonly do: "error";
      readonly code: string;
      readonly message?: string;
      readonly status?: number;
    }
  /** The connection is reset before there is an answer. Not applied. */
  | { readonly do: "reset" }
  /** The connection is closed before there is an answer. Not applied. */
  | { readonly do: "hang-up" }
  /** Never any answer. Not applied. */
  | { readonly do: "silence" }
  /** Applied; the answer stops in the middle of its body and never goes on. */
  | { readonly do: "stall" }
  /** Applied; then the connection is reset, or nothing ever comes: the answer travelled over the address just moved. */
  | { readonly do: "lose-answer"; readonly how: "reset" | "silence" }
  /** Slower: before it is applied, and between that and the answer. Goes together with other effects. */
  | { readonly do: "delay"; readonly beforeMs?: number; readonly afterMs?: number }
  /** Held back, and only applied once the fault is taken away. Goes together with other effects. */
  | { readonly do: "hold" }
  /** 200 with somebody's HTML page: a captive portal, a proxy. Not applied. */
  | { readonly do: "html" }
  /** 200 with bytes that mean nothing. Not applied. */
  | { readonly do: "garbage" }
  /** 200 with a body of so many bytes (64 MiB), of a text over and over ("x"). Not applied. */
  | { readonly do: "overlong"; readonly bytes?: number; readonly of?: string }
  /** Applied; the body of the answer is replaced by what this makes of it. For tests in the same process: a function is no JSON. */
  | { readonly do: "rewrite"; readonly body: (right: string) => string }
  /** Applied; the answer to AssociateAddress is 200 but has no association id. */
  | { readonly do: "no-association-id" }
  /** A flawless 200, but nothing was applied. */
  | { readonly do: "lie" }
  /** Describe calls, and IMDS, answer from so long ago. Goes together with other effects. */
  | { readonly do: "stale"; readonly byMs: number };

/** The services that faults can be added to. */
export const FAULTY_SERVICES = ["ec2", "autoscaling", "imds"] as const;
export type FaultyService = (typeof FAULTY_SERVICES)[number];

/** Which requests. What is not said matches every request. */
export interface FaultRule {
  readonly service: FaultyService;
  /** EC2 and Auto Scaling: the action. */
  readonly action?: string;
  /** IMDS: how the path begins, as "/latest/meta-data/tags". */
  readonly path?: string;
  readonly method?: "GET" | "PUT";
  /** The instance that asks. */
  readonly instanceId?: string;
  /** Lets so many requests pass first. */
  readonly skip?: number;
  /** Hits at most so many requests. */
  readonly count?: number;
  /** Only from and until these moments, in the region's time. */
  readonly from?: number;
  readonly until?: number;
  readonly effect: Effect;
}

/** A fault that was added. */
export interface Fault {
  readonly id: number;
  readonly rule: FaultRule;
  /** How many requests it hit. */
  hits: number;
  /** How many more requests it lets pass. */
  toSkip: number;
}

/** What is known of a request when faults are looked up. */
export interface Occasion {
  readonly service: FaultyService;
  readonly action?: string | undefined;
  readonly path?: string | undefined;
  readonly method?: string | undefined;
  readonly instanceId?: string | undefined;
}

/** What happens to one request. */
export interface Verdict {
  /** Fulfilled when everything that holds it back is taken away. */
  readonly letGo: Promise<unknown>;
  readonly beforeMs: number;
  readonly afterMs: number;
  readonly staleMs: number | undefined;
  /** The one effect on the answer; undefined: it is as it should be. */
  readonly effect: Exclude<Effect, { do: "delay" | "hold" | "stale" }> | undefined;
}

/** "The token is good, but every read with it answers 401" (seen for 10 s on real instances). */
export const TOKEN_NOT_HONOURED: Pick<FaultRule, "service" | "method" | "effect"> = {
  service: "imds",
  method: "GET",
  effect: { do: "status", status: 401 },
};

export class Faults {
  readonly #now: () => number;
  readonly #faults: Fault[] = [];
  /** What lets go of the requests that a fault holds back. */
  readonly #gates = new Map<number, PromiseWithResolvers<void>>();
  #lastId = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Adds a fault; among several that fit a request the first one added has its way with the answer. */
  add(rule: FaultRule): Fault {
    const fault = { id: ++this.#lastId, rule, hits: 0, toSkip: rule.skip ?? 0 };
    this.#faults.push(fault);
    return fault;
  }

  /** Takes one fault away, or all of them; what they hold back goes on. */
  clear(which?: Pick<Fault, "id">): void {
    const isMeant = ({ id }: Fault) => which === undefined || id === which.id;
    const gone = this.#faults.filter(isMeant);
    const left = this.#faults.filter((fault) => !isMeant(fault));
    this.#faults.splice(0, this.#faults.length, ...left);
    for (const { id } of gone) {
      this.#gates.get(id)?.resolve();
      this.#gates.delete(id);
    }
  }

  /** The faults that were added and not taken away. */
  list(): readonly Fault[] {
    return this.#faults;
  }

  /** What happens to this request; counts it. */
  judge(occasion: Occasion): Verdict {
    let effect: Verdict["effect"];
    let beforeMs = 0;
    let afterMs = 0;
    let staleMs: number | undefined;
    const gates: Promise<void>[] = [];
    for (const fault of this.#faults) {
      const wanted = fault.rule.effect;
      const alters = wanted.do !== "delay" && wanted.do !== "hold" && wanted.do !== "stale";
      if ((alters && effect !== undefined) || !this.#fits(fault, occasion)) continue;
      if (fault.toSkip > 0) {
        fault.toSkip -= 1;
        continue;
      }
      fault.hits += 1;
      if (wanted.do === "delay") {
        beforeMs += wanted.beforeMs ?? 0;
        afterMs += wanted.afterMs ?? 0;
      } else if (wanted.do === "hold") {
        gates.push(this.#gateOf(fault));
      } else if (wanted.do === "stale") {
        staleMs = Math.max(staleMs ?? 0, wanted.byMs);
      } else {
        effect = wanted;
      }
    }
    return { letGo: Promise.all(gates), beforeMs, afterMs, staleMs, effect };
  }

  #gateOf({ id }: Fault): Promise<void> {
    const gate = this.#gates.get(id) ?? Promise.withResolvers<void>();
    this.#gates.set(id, gate);
    return gate.promise;
  }

  #fits({ rule, hits }: Fault, occasion: Occasion): boolean {
    const now = this.#now();
    return (
      rule.service === occasion.service &&
      (rule.count === undefined || hits < rule.count) &&
      (rule.from === undefined || now >= rule.from) &&
      (rule.until === undefined || now < rule.until) &&
      (rule.action === undefined || rule.action === occasion.action) &&
      (rule.path === undefined || (occasion.path ?? "").startsWith(rule.path)) &&
      (rule.method === undefined || rule.method === occasion.method) &&
      (rule.instanceId === undefined || rule.instanceId === occasion.instanceId)
    );
  }
}
