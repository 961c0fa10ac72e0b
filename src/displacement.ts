/**
 * What associating pushes off our place: asked or refused before, told afterwards, as soon as it is certain.
 * Instance metadata shows a public address there, but not whether it is an Elastic IP: EC2 knows.
 */
import { isAt } from "./core/decide.ts";
import { Failure } from "./core/failure.ts";
import { nameAddress } from "./core/report.ts";
import type { Elastic, Look, Place, View, Wanted } from "./core/view.ts";
import type { Ec2 } from "./ports.ts";
import { during, type Run } from "./run.ts";

/** What stood at our place before an address was associated there. */
export interface Former {
  readonly publicIp: string;
  /** The address that was associated. */
  readonly by: { readonly allocationId: string; readonly publicIp?: string };
  /** The Elastic IP that it is, if that was asked before; else a look afterwards tells. */
  readonly elastic?: Elastic;
}

/**
 * Prepares the tries of one run; what has happened is remembered from one to the next until it is told.
 *
 * @returns for each try, with its place and its connection
 */
export function displacement(run: Run) {
  const { settings, ports } = run;
  let past: Former | undefined;
  /** What stood at our place and does so no more, whatever instance metadata still shows. */
  const gone = new Set<string>();

  return (here: Place, line: { readonly ec2: Ec2 }) => {
    let atPlace: { readonly elastic: Elastic | undefined } | undefined;

    return {
      /**
       * What stands at our place while `view` is not there. Which kind it is tells the look afterwards if that
       * can; else it is asked now, once.
       *
       * @param direct may addresses be described?
       * @throws Failure `misconfigured` if it is an Elastic IP that must stay
       */
      async before({ allocationId, publicIp }: View, direct: boolean): Promise<Former | undefined> {
        const there = here.publicIp;
        if (there === undefined || there === publicIp || gone.has(there)) return undefined;
        const by = { allocationId, ...(publicIp !== undefined && { publicIp }) };
        if (settings.displace && publicIp !== undefined && direct) return { publicIp: there, by };

        const place = { ...here, publicIp: there };
        atPlace ??= {
          elastic: await during(run, `looking at ${there}`, () => line.ec2.present(place)),
        };
        const { elastic } = atPlace;
        if (elastic === undefined) return undefined;
        if (settings.displace) return { publicIp: there, by, elastic };
        throw new Failure("misconfigured", {
          why: `${here.interfaceId} ${here.privateIp} carries another Elastic IP, ${nameElastic(elastic)}, and EIP_HEAL_DISPLACE is no`,
          cure: "disassociate it, give another place by EIP_HEAL_INTERFACE or EIP_HEAL_PRIVATE_IP, or set EIP_HEAL_DISPLACE=yes",
        });
      },

      /** The association was sent; `isAccepted`: and accepted. */
      happened(former: Former | undefined, isAccepted: boolean): void {
        past = former;
        if (!isAccepted || former === undefined) return;
        gone.add(former.publicIp);
        if (former.elastic !== undefined) tell(former.elastic);
      },

      /** What a look at this address is to tell besides. */
      question(at: Wanted): { wanted: string; former: string } | undefined {
        const { by, publicIp, elastic } = past ?? {};
        return at.kind === "address" &&
          by?.allocationId === at.allocationId &&
          by.publicIp !== undefined &&
          publicIp !== undefined &&
          elastic === undefined
          ? { wanted: by.publicIp, former: publicIp }
          : undefined;
      },

      /** Names what was pushed off, if this look makes it certain. */
      seen({ views, displaced }: Look): void {
        if (past === undefined) return;
        const { by, publicIp, elastic = displaced } = past;
        const isHere = views.some(
          ({ allocationId, holder }) =>
            allocationId === by.allocationId && holder.kind === "instance" && isAt(here, holder),
        );
        if (!isHere && !gone.has(publicIp)) return;
        gone.add(publicIp);
        past = undefined;
        if (elastic !== undefined) tell(elastic);
      },
    };

    function tell(elastic: Elastic): void {
      past = undefined;
      ports.log.warn(
        `${nameElastic(elastic)} is pushed off ${here.instanceId} ${here.interfaceId} ${here.privateIp}; it stays allocated`,
      );
    }
  };
}

/** `eipalloc-1 (203.0.113.7)`, or the address alone where the role may not see more. */
export function nameElastic({ allocationId, publicIp }: Elastic): string {
  return allocationId === undefined ? publicIp : nameAddress(allocationId, publicIp);
}
