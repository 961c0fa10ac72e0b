/**
 * The errors of the APIs. Codes are AWS's own; where a message was seen in public issue threads it is that text,
 * because clients tell apart by text what EC2 gives one code.
 */

/** An error of an API: what goes into the answer's `<Error>`. */
export class ApiError extends Error {
  readonly code: string;
  readonly httpStatus: number;

  constructor(code: string, message: string, httpStatus = 400) {
    super(message);
    this.name = new.target.name;
    this.code = code;
    this.httpStatus = httpStatus;
  }
}

export class Ec2Error extends ApiError {}

export class AutoScalingError extends ApiError {}

export const authFailure = (
  message = "AWS was not able to validate the provided access credentials",
): Ec2Error => new Ec2Error("AuthFailure", message, 401);

/** The other meaning of AuthFailure: the address or its holder belongs to a service or to somebody else. */
export const notYours = (): Ec2Error =>
  new Ec2Error("AuthFailure", "You do not have permission to access the specified resource.");

export const dryRunOperation = (): Ec2Error =>
  new Ec2Error("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412);

export const requestLimitExceeded = (): Ec2Error =>
  new Ec2Error("RequestLimitExceeded", "Request limit exceeded.", 503);

export const unavailable = (): Ec2Error =>
  new Ec2Error("Unavailable", "The service is unavailable. Please try again shortly.", 503);

export const missingParameter = (what: string): Ec2Error =>
  new Ec2Error("MissingParameter", `The request must contain the parameter ${what}`);

export const noSuchAllocation = (id: string): Ec2Error =>
  new Ec2Error("InvalidAllocationID.NotFound", `The allocation ID '${id}' does not exist`);

export const noSuchAddress = (ip: string): Ec2Error =>
  new Ec2Error("InvalidAddress.NotFound", `Address '${ip}' not found.`);

export const noSuchInstance = (ids: readonly string[]): Ec2Error =>
  new Ec2Error(
    "InvalidInstanceID.NotFound",
    ids.length === 1
      ? `The instance ID '${ids[0]}' does not exist`
      : `The instance IDs '${ids.join(", ")}' do not exist`,
  );

export const noSuchInterface = (...ids: readonly string[]): Ec2Error =>
  new Ec2Error(
    "InvalidNetworkInterfaceID.NotFound",
    ids.length === 1
      ? `The networkInterface ID '${ids[0]}' does not exist`
      : `The networkInterface IDs '${ids.join(", ")}' do not exist`,
  );

/** A request by ids is not paged. */
export const idsWithPages = (idsParameter: string): Ec2Error =>
  new Ec2Error(
    "InvalidParameterCombination",
    `The parameter ${idsParameter} cannot be used with the parameter maxResults`,
  );

export const noSuchAssociation = (id: string): Ec2Error =>
  new Ec2Error("InvalidAssociationID.NotFound", `The association ID '${id}' does not exist`);

export const alreadyAssociated = (allocationId: string, associationId: string): Ec2Error =>
  new Ec2Error(
    "Resource.AlreadyAssociated",
    `resource ${allocationId} is already associated with associate-id ${associationId}`,
  );

/** The same code for the place that an address is to come to (github.com/aws-quickstart/quickstart-linux-bastion, issue 21). */
export const placeTaken = (
  networkInterfaceId: string,
  privateIp: string,
  publicIp: string,
): Ec2Error =>
  new Ec2Error(
    "Resource.AlreadyAssociated",
    `resource ${networkInterfaceId} and ${privateIp} is already associated with public address ${publicIp}`,
  );

/** `InvalidInstanceID` says three things; this is "the instance is in the wrong state". */
export const wrongInstanceState = (state: string, instanceId: string): Ec2Error =>
  new Ec2Error(
    "InvalidInstanceID",
    `The ${state} instance '${instanceId}' is not in a valid state for this operation.`,
  );

/** The same for a request that named the interface. */
export const wrongStateOfHost = (state: string, networkInterfaceId: string): Ec2Error =>
  new Ec2Error(
    "IncorrectInstanceState",
    `The ${state} instance to which '${networkInterfaceId}' is attached is not in a valid state for this operation.`,
  );

export const severalInterfaces = (instanceId: string): Ec2Error =>
  new Ec2Error(
    "InvalidInstanceID",
    `There are multiple interfaces attached to instance '${instanceId}'. Please specify an interface ID for the operation instead.`,
  );

export const noInternetGateway = (vpcId: string): Ec2Error =>
  new Ec2Error("Gateway.NotAttached", `Network ${vpcId} is not attached to any internet gateway`);

/** EC2's real code for this was found nowhere; a combination of parameters that cannot be is the nearest documented one. */
export const otherBorderGroup = (address: string, target: string): Ec2Error =>
  new Ec2Error(
    "InvalidParameterCombination",
    `The address is in the network border group ${address}, the network interface is in ${target}.`,
  );

/** Auto Scaling has one code for whatever it does not like about a request. */
export const noLifecycleAction = (instanceId: string): AutoScalingError =>
  new AutoScalingError(
    "ValidationError",
    `No active Lifecycle Action found with instance ID ${instanceId}`,
  );

/** The words are this region's own. */
export const noSuchGroup = (name: string): AutoScalingError =>
  new AutoScalingError("ValidationError", `Auto Scaling group ${name} not found`);

export const rateExceeded = (): AutoScalingError =>
  new AutoScalingError("Throttling", "Rate exceeded");
