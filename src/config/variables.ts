/**
 * The variables without our prefix that are read from the environment and the settings file: those of the AWS SDKs, and one
 * of Node's. The manual and the settings file are generated from this table (make docs).
 */

export interface VariableRow {
  /** Several if they are documented together. */
  readonly keys: readonly string[];
  /** In the markup of docs/generate/text.ts. */
  readonly explanation: string;
  /** For the settings file. */
  readonly example?: string;
  /** It must not be in a file that everybody can read. */
  readonly isSecret?: boolean;
}

export const VARIABLES: readonly VariableRow[] = [
  {
    keys: ["AWS_REGION", "AWS_DEFAULT_REGION"],
    explanation: "The region, instead of the one that instance metadata gives.",
  },
  {
    keys: ["AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL_AUTO_SCALING", "AWS_ENDPOINT_URL"],
    explanation: "Where the EC2 and Auto Scaling APIs are, such as the URL of a VPC endpoint.",
    example: "https://vpce-0123456789abcdef0-01234567.ec2.us-east-1.vpce.amazonaws.com",
  },
  {
    keys: ["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"],
    explanation: "`true` leaves these URLs out of account.",
  },
  {
    keys: ["AWS_USE_DUALSTACK_ENDPOINT", "AWS_USE_FIPS_ENDPOINT"],
    explanation:
      "`true` selects the dual-stack (IPv6) or the FIPS endpoint of these APIs. At the FIPS endpoint AWS uses validated cryptography; this program does not: its OpenSSL is that of Node, which is not a FIPS 140 validated module, and a kernel in FIPS mode does not change that. `eip-heal doctor` warns there.",
  },
  {
    keys: ["AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"],
    explanation: "Where instance metadata is: a URL, or a mode, `IPv4` or `IPv6`.",
  },
  {
    keys: ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"],
    explanation: "Credentials, instead of those of the instance role.",
    isSecret: true,
  },
  {
    keys: ["HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"],
    explanation:
      "The proxy for requests to EC2 and Auto Scaling, by the protocol of their endpoints, and a list of hosts and domains that are reached without it, with commas between; in lower case too. Never for instance metadata. A user and password go into the URL, `http://USER:PASSWORD@HOST:PORT`, and then belong in a file for root alone that `EnvironmentFile=` in a drop-in names.",
    example: "http://proxy.example.com:3128",
  },
  {
    keys: ["AWS_CA_BUNDLE"],
    explanation: "A file of CA certificates, in PEM, that are trusted instead of the system's.",
  },
  {
    keys: ["NODE_EXTRA_CA_CERTS"],
    explanation: "A file of further CA certificates, in PEM, for networks that inspect TLS.",
    example: "/etc/ssl/certs/inspection.pem",
  },
];
