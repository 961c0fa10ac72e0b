/** The wire format of the EC2 Query API: records into XML. */

import type { ApiError } from "./errors.ts";
import type { TagRow } from "./filters.ts";
import { publicIpShown, statusOf } from "./filters.ts";
import type { Address, Manager, NetworkInterface } from "./model.ts";
import type { DescribedInstance, DescribedInterface } from "./actions.ts";
import { xml } from "./xml.ts";
import type { Xml } from "./xml.ts";

const STATE_CODES: Readonly<Record<string, number>> = {
  pending: 0,
  running: 16,
  "shutting-down": 32,
  terminated: 48,
  stopping: 64,
  stopped: 80,
};

/** What EC2 says of the interfaces that others than instances are behind. */
const MANAGERS: Readonly<
  Record<Manager, { interfaceType: string; requester?: string; description: string }>
> = {
  "nat-gateway": {
    interfaceType: "nat_gateway",
    requester: "amazon-aws",
    description: "Interface for NAT Gateway",
  },
  "load-balancer": {
    interfaceType: "network_load_balancer",
    requester: "amazon-elb",
    description: "ELB net/front",
  },
  service: { interfaceType: "interface", requester: "amazon-aws", description: "" },
  // A participant of a shared VPC has made it for itself, as any account does.
  "other-account": { interfaceType: "interface", description: "" },
};

/** The body of a successful answer. */
export function responseXml(
  action: string,
  requestId: string,
  content: { readonly [element: string]: Xml },
): string {
  const inner = xml({ requestId, ...content });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">${inner}</${action}Response>`;
}

/** The body of an error answer. */
export function errorXml(error: ApiError, requestId: string): string {
  const inner = xml({
    Errors: { Error: { Code: error.code, Message: error.message } },
    RequestID: requestId,
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<Response>${inner}</Response>`;
}

/** One item of DescribeAddresses. */
export function addressXml(address: Address, emptyInstanceId: boolean): Xml {
  const held = address.association;
  return {
    ...shownAddress(address),
    allocationId: address.allocationId,
    domain: "vpc",
    instanceId: held?.instanceId ?? (emptyInstanceId ? "" : undefined),
    associationId: held?.associationId,
    networkInterfaceId: held?.networkInterfaceId,
    networkInterfaceOwnerId: held?.networkInterfaceOwnerId,
    privateIpAddress: held?.privateIp,
    tagSet: tagSet(address.tags),
    publicIpv4Pool: "amazon",
    networkBorderGroup: address.networkBorderGroup,
    serviceManaged: address.serviceManaged,
  };
}

/** One item of DescribeInstances' reservationSet: each instance is a reservation of its own, as from Auto Scaling. */
export function reservationXml(described: DescribedInstance, account: string): Xml {
  const { instance } = described;
  const [primary] = instance.interfaces;
  return {
    reservationId: instance.instanceId.replace(/^i-/, "r-"),
    ownerId: account,
    groupSet: [],
    instancesSet: [
      {
        instanceId: instance.instanceId,
        imageId: instance.imageId,
        instanceState: stateXml(described.state),
        privateDnsName: dnsName(primary?.addresses[0]?.privateIp),
        dnsName: "",
        amiLaunchIndex: 0,
        productCodes: [],
        instanceType: instance.instanceType,
        launchTime: new Date(instance.launchTime).toISOString(),
        placement: { availabilityZone: instance.zone, groupName: "", tenancy: "default" },
        monitoring: { state: "disabled" },
        subnetId: primary?.subnetId,
        vpcId: primary?.vpcId,
        privateIpAddress: primary?.addresses[0]?.privateIp,
        ipAddress: described.publicIp,
        sourceDestCheck: primary && true,
        groupSet: primary && securityGroups(primary),
        architecture: "x86_64",
        tagSet: tagSet(described.tags),
        hypervisor: "xen",
        networkInterfaceSet: instance.interfaces.map((eni) =>
          interfaceXml(eni, described, account),
        ),
        virtualizationType: "hvm",
      },
    ],
  };
}

/** One item of DescribeNetworkInterfaces. */
export function networkInterfaceXml(described: DescribedInterface, account: string): Xml {
  const { networkInterface: eni } = described;
  const manager = eni.manager && MANAGERS[eni.manager];
  const addresses = eni.addresses.map((at) => {
    const address =
      at.allocationId === undefined ? undefined : described.elasticIp(at.allocationId);
    return {
      privateIpAddress: at.privateIp,
      primary: at.primary,
      association: associationXml(at, address, account, {
        allocationId: at.allocationId,
        associationId: address?.association?.associationId,
      }),
    };
  });
  return {
    networkInterfaceId: eni.networkInterfaceId,
    subnetId: eni.subnetId,
    vpcId: eni.vpcId,
    availabilityZone: eni.zone,
    description: manager?.description ?? "",
    ownerId: eni.ownerId,
    requesterId: manager?.requester,
    requesterManaged: manager?.requester !== undefined,
    status: statusOf(eni),
    macAddress: eni.mac,
    privateIpAddress: eni.addresses[0]?.privateIp,
    sourceDestCheck: eni.manager !== "nat-gateway",
    groupSet: securityGroups(eni),
    attachment: attachmentXml(described, account),
    association: addresses[0]?.association,
    tagSet: tagSet(eni.tags) ?? [],
    privateIpAddressesSet: addresses,
    ipv6AddressesSet: eni.ipv6s.map((ipv6Address) => ({ ipv6Address })),
    interfaceType: manager?.interfaceType ?? "interface",
  };
}

/** One item of DescribeTags. */
export function tagXml(row: TagRow): Xml {
  return {
    resourceId: row.resourceId,
    resourceType: row.resourceType,
    key: row.key,
    value: row.value,
  };
}

// --- internal ---

/** The one address that it has, mostly. */
function shownAddress(address: Address): { readonly [element: string]: Xml } {
  const { customerOwnedIp, carrierIp } = address;
  return { publicIp: publicIpShown(address), customerOwnedIp, carrierIp };
}

/** A state that nobody knows has no known code either; one that is not shown is no element at all. */
function stateXml(name: string | undefined): Xml {
  return name === undefined ? undefined : { code: STATE_CODES[name], name };
}

function interfaceXml(eni: NetworkInterface, described: DescribedInstance, account: string): Xml {
  const addresses = eni.addresses.map((at) => ({
    privateIpAddress: at.privateIp,
    primary: at.primary,
    association: associationXml(
      at,
      at.allocationId === undefined ? undefined : described.address(at.allocationId),
      account,
    ),
  }));
  return {
    networkInterfaceId: eni.networkInterfaceId,
    subnetId: eni.subnetId,
    vpcId: eni.vpcId,
    description: "",
    ownerId: eni.ownerId,
    status: "in-use",
    macAddress: eni.mac,
    privateIpAddress: eni.addresses[0]?.privateIp,
    sourceDestCheck: true,
    groupSet: securityGroups(eni),
    attachment: onInstance(eni, described.instance.launchTime),
    association: addresses[0]?.association,
    privateIpAddressesSet: addresses,
    ipv6AddressesSet: eni.ipv6s.map((ipv6Address) => ({ ipv6Address })),
    interfaceType: "interface",
  };
}

function onInstance(eni: NetworkInterface, launchTime: number): { readonly [name: string]: Xml } {
  return {
    attachmentId: eni.networkInterfaceId.replace(/^eni-/, "eni-attach-"),
    deviceIndex: eni.deviceIndex,
    networkCardIndex: eni.networkCardIndex,
    status: "attached",
    attachTime: new Date(launchTime).toISOString(),
    deleteOnTermination: eni.deleteOnTermination,
  };
}

/** To what it is attached; that of a service names no instance, and as its owner who runs the service. */
function attachmentXml(
  { networkInterface: eni, instance }: DescribedInterface,
  account: string,
): Xml {
  if (instance !== undefined) {
    const { instanceId, launchTime } = instance;
    return { ...onInstance(eni, launchTime), instanceId, instanceOwnerId: account };
  }
  if (eni.manager === undefined) return undefined;
  return {
    attachmentId: eni.networkInterfaceId.replace(/^eni-/, "ela-attach-"),
    deviceIndex: 1,
    status: "attached",
    deleteOnTermination: false,
    instanceOwnerId: MANAGERS[eni.manager].requester ?? eni.ownerId,
  };
}

/**
 * Whose the public address of a private one is. Only DescribeNetworkInterfaces has the ids of the Elastic IP besides,
 * DescribeInstances never.
 */
function associationXml(
  at: NetworkInterface["addresses"][number],
  address: Address | undefined,
  account: string,
  ids: { readonly [name: string]: Xml } = {},
): Xml {
  if (at.allocationId !== undefined) {
    return address === undefined
      ? undefined
      : { ...shownAddress(address), publicDnsName: "", ipOwnerId: account, ...ids };
  }
  return at.autoPublicIp === undefined
    ? undefined
    : { publicIp: at.autoPublicIp, publicDnsName: "", ipOwnerId: "amazon" };
}

/** The default group of the VPC: nothing here looks at groups, but no interface is without. */
function securityGroups(eni: NetworkInterface): Xml {
  return [{ groupId: eni.vpcId.replace(/^vpc-/, "sg-"), groupName: "default" }];
}

function tagSet(tags: Readonly<Record<string, string>>): Xml {
  const entries = Object.entries(tags);
  return entries.length === 0 ? undefined : entries.map(([key, value]) => ({ key, value }));
}

function dnsName(privateIp: string | undefined): string {
  return privateIp === undefined ? "" : `ip-${privateIp.replaceAll(".", "-")}.ec2.internal`;
}
