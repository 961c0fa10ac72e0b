#!/bin/bash
# The same job with as little as a shell can do it: curl, which signs by itself, and no request that is not needed.
# Looks, associates if the address is not here (taking it from an older instance), and looks again.
set -euo pipefail
imds=$AWS_EC2_METADATA_SERVICE_ENDPOINT/latest
token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$imds/api/token")
# One curl, one connection.
mapfile -t self < <(curl -sf -w '\n' -H "X-aws-ec2-metadata-token: $token" "$imds/meta-data/instance-id" \
	"$imds/meta-data/placement/region" "$imds/meta-data/tags/instance/allocation-id" \
	"$imds/meta-data/iam/security-credentials/")
instance=${self[0]} region=${self[1]} allocation=${self[2]} role=${self[3]}
credentials=$(curl -sf -H "X-aws-ec2-metadata-token: $token" "$imds/meta-data/iam/security-credentials/$role")
field() { [[ $credentials =~ \"$1\"\ *:\ *\"([^\"]+)\" ]] && echo "${BASH_REMATCH[1]}"; }
key="$(field AccessKeyId):$(field SecretAccessKey)" session=$(field Token)

ec2() {
	curl -sf --aws-sigv4 "aws:amz:$region:ec2" --user "$key" -H "X-Amz-Security-Token: $session" \
		--data "$1&Version=2016-11-15" "$AWS_ENDPOINT_URL_EC2/"
}
look() { ec2 "Action=DescribeAddresses&Filter.1.Name=allocation-id&Filter.1.Value.1=$allocation"; }
holder() { [[ $1 =~ \<instanceId\>([^\<]+) ]] && echo "${BASH_REMATCH[1]}"; }

holder=$(holder "$(look)" || true)
if [ "$holder" = "$instance" ]; then exit 0; fi
take=false
if [ -n "$holder" ]; then
	# Both launch times, so that only an older instance is robbed.
	shown=$(ec2 "Action=DescribeInstances&Filter.1.Name=instance-id&Filter.1.Value.1=$instance&Filter.1.Value.2=$holder")
	mapfile -t launched < <(grep -oE '<(instanceId|launchTime)>[^<]+' <<<"$shown" | sort -u)
	[ ${#launched[@]} -ge 3 ] && take=true
fi
ec2 "Action=AssociateAddress&AllocationId=$allocation&InstanceId=$instance&AllowReassociation=$take" >/dev/null
[ "$(holder "$(look)")" = "$instance" ]
