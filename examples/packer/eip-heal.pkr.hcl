# An AMI of Amazon Linux 2023 with eip-heal in it.
#
#   packer init . && packer build -var package=eip-heal-0.1.0-1.aarch64.rpm .
#
# The package enables the unit and never starts it: the build instance does not grab anyone's address.

packer {
  required_version = ">= 1.9.0"

  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.2.0"
    }
  }
}

variable "package" {
  type        = string
  description = "Path of the RPM, of the architecture of the source AMI."
}

variable "region" {
  type    = string
  default = "us-east-1"
}

variable "architecture" {
  type    = string
  default = "arm64"

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "The architecture is arm64 or x86_64."
  }
}

source "amazon-ebs" "al2023" {
  region        = var.region
  ami_name      = "web-${var.architecture}-${formatdate("YYYYMMDDhhmmss", timestamp())}"
  instance_type = var.architecture == "arm64" ? "t4g.small" : "t3.small"
  ssh_username  = "ec2-user"
  imds_support  = "v2.0"

  source_ami_filter {
    owners      = ["amazon"]
    most_recent = true

    filters = {
      name                = "al2023-ami-2023.*-kernel-*-${var.architecture}"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
  }

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
  }

  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    encrypted             = true
    volume_type           = "gp3"
    delete_on_termination = true
  }
}

build {
  sources = ["source.amazon-ebs.al2023"]

  provisioner "file" {
    source      = var.package
    destination = "/tmp/eip-heal.rpm"
  }

  provisioner "shell" {
    inline = [
      "sudo dnf install --assumeyes /tmp/eip-heal.rpm",
      "rm /tmp/eip-heal.rpm",
      # Fail the build if the image would not heal.
      "systemctl is-enabled eip-heal.service",
      "! systemctl is-active --quiet eip-heal.service",
    ]
  }
}
