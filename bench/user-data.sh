#!/bin/bash
# What the classic user-data script does, with IMDSv2: the instance by instance metadata, the tag by DescribeInstances,
# then associate-address. Neither looks before nor after.
set -euo pipefail
# The AWS CLI wants a slash at the end.
export AWS_EC2_METADATA_SERVICE_ENDPOINT=$AWS_EC2_METADATA_SERVICE_ENDPOINT/
imds=${AWS_EC2_METADATA_SERVICE_ENDPOINT}latest
token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$imds/api/token")
read_imds() { curl -sf -H "X-aws-ec2-metadata-token: $token" "$imds/meta-data/$1"; }

instance=$(read_imds instance-id)
zone=$(read_imds placement/availability-zone)
region=${zone%[a-z]}
allocation=$(/usr/bin/aws ec2 describe-instances --endpoint-url "$AWS_ENDPOINT_URL_EC2" --region "$region" \
	--instance-ids "$instance" --output json |
	jq -r '.Reservations[].Instances[].Tags[] | select(.Key == "allocation-id").Value')
/usr/bin/aws ec2 associate-address --endpoint-url "$AWS_ENDPOINT_URL_EC2" --region "$region" \
	--instance-id "$instance" --allocation-id "$allocation" --allow-reassociation >/dev/null
