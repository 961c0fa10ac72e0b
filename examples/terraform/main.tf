# A small service behind one fixed public IPv4 address: an Auto Scaling group of one instance, which eip-heal (in the
# AMI) brings back under the Elastic IP whenever the instance is replaced or rebooted.
#
#   module "web" {
#     source     = "./eip-heal"
#     name       = "web"
#     vpc_id     = "vpc-..."
#     subnet_ids = ["subnet-...", "subnet-..."]
#     image_id   = "ami-..."
#   }
#
# The subnets have to be public: a route to an internet gateway. Until the Elastic IP is here, the instance reaches the
# EC2 API by the public IPv4 address that the launch template asks for.

data "aws_partition" "this" {}
data "aws_region" "this" {}
data "aws_caller_identity" "this" {}

locals {
  allocation_id = var.allocation_id == null ? aws_eip.this[0].id : var.allocation_id
  region        = data.aws_region.this.id
  in_china      = data.aws_partition.this.partition == "aws-cn"
  arn           = "arn:${data.aws_partition.this.partition}:ec2:${local.region}:${data.aws_caller_identity.this.account_id}"
}

resource "aws_eip" "this" {
  #checkov:skip=CKV2_AWS_19:The instance associates it with itself.
  count  = var.allocation_id == null ? 1 : 0
  domain = "vpc"
  tags   = { Name = var.name }
}

# As "eip-heal policy" prints it; "eip-heal policy --explain" says why each statement is there.
data "aws_iam_policy_document" "heal" {
  statement {
    sid       = "Look"
    actions   = ["ec2:DescribeAddresses", "ec2:DescribeInstances"]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "ec2:Region"
      values   = [local.region]
    }
  }

  statement {
    sid       = "ThisAddress"
    actions   = ["ec2:AssociateAddress"]
    resources = ["${local.arn}:elastic-ip/${local.allocation_id}"]
  }

  statement {
    sid       = "OntoItself"
    actions   = ["ec2:AssociateAddress"]
    resources = ["${local.arn}:instance/*"]

    condition {
      test     = "StringLike"
      variable = "aws:userid"
      # IAM itself puts the instance id in.
      values = ["*:$${ec2:InstanceID}"]
    }
  }

  statement {
    sid       = "LookUpTheGroup"
    actions   = ["autoscaling:DescribeAutoScalingInstances"]
    resources = ["*"]
  }

  statement {
    sid       = "LookAtInterfaces"
    actions   = ["ec2:DescribeNetworkInterfaces"]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "ec2:Region"
      values   = [local.region]
    }
  }
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type = "Service"
      # In China EC2 has a name of its own; elsewhere it does not depend on the partition.
      identifiers = [local.in_china ? "ec2.amazonaws.com.cn" : "ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "this" {
  name_prefix        = "${var.name}-"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy" "heal" {
  name   = "eip-heal"
  role   = aws_iam_role.this.id
  policy = data.aws_iam_policy_document.heal.json
}

resource "aws_iam_instance_profile" "this" {
  name_prefix = "${var.name}-"
  role        = aws_iam_role.this.name
}

resource "aws_security_group" "this" {
  name_prefix = "${var.name}-"
  description = "The service, and its way out to HTTPS (the EC2 API among others)"
  vpc_id      = var.vpc_id

  ingress {
    description = "The service"
    protocol    = "tcp"
    from_port   = 443
    to_port     = 443
    cidr_blocks = ["0.0.0.0/0"]
  }

  egress {
    description = "HTTPS"
    protocol    = "tcp"
    from_port   = 443
    to_port     = 443
    cidr_blocks = ["0.0.0.0/0"]
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_launch_template" "this" {
  #checkov:skip=CKV_AWS_88:A public address is what this is about; the first one reaches the EC2 API.
  name_prefix   = "${var.name}-"
  image_id      = var.image_id
  instance_type = var.instance_type

  iam_instance_profile {
    arn = aws_iam_instance_profile.this.arn
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    # The tag allocation-id then needs no call to be read.
    instance_metadata_tags = "enabled"
  }

  network_interfaces {
    device_index                = 0
    associate_public_ip_address = true
    security_groups             = [aws_security_group.this.id]
  }
}

resource "aws_autoscaling_group" "this" {
  name_prefix               = "${var.name}-"
  vpc_zone_identifier       = var.subnet_ids
  min_size                  = 1
  max_size                  = 2 # room for the replacement beside the instance that it replaces
  desired_capacity          = 1
  health_check_type         = "EC2"
  health_check_grace_period = 120

  launch_template {
    id      = aws_launch_template.this.id
    version = aws_launch_template.this.latest_version
  }

  # The new instance comes first and takes the address.
  instance_maintenance_policy {
    min_healthy_percentage = 100
    max_healthy_percentage = 200
  }

  # A new version of the launch template (a new AMI) replaces the instance.
  instance_refresh {
    strategy = "Rolling"

    preferences {
      min_healthy_percentage = 100
      max_healthy_percentage = 200
    }
  }

  tag {
    key                 = "allocation-id"
    value               = local.allocation_id
    propagate_at_launch = true
  }

  tag {
    key                 = "Name"
    value               = var.name
    propagate_at_launch = true
  }

  # A role without its policy is no use to an instance that boots at once.
  depends_on = [aws_iam_role_policy.heal]
}
