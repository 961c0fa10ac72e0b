# AMIs of Amazon Linux 2023 and of Debian 12 with eip-heal in them.
#
#   packer init .
#   packer build -only=amazon-ebs.al2023 -var package=eip-heal-0.2.0-1.aarch64.rpm .
#   packer build -only=amazon-ebs.debian -var package=eip-heal_0.2.0_arm64.deb .
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
  description = "Path of the RPM or DEB, of the architecture of the source AMI."

  validation {
    condition     = can(regex("\\.(rpm|deb)$", var.package))
    error_message = "The package is a file that ends in .rpm or .deb."
  }
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

locals {
  instance_type = var.architecture == "arm64" ? "t4g.small" : "t3.small"
  ami_name      = "web-${var.architecture}-${formatdate("YYYYMMDDhhmmss", timestamp())}"
  # The package managers go by the ending.
  uploaded = "/tmp/${basename(var.package)}"
}

source "amazon-ebs" "al2023" {
  region        = var.region
  ami_name      = local.ami_name
  instance_type = local.instance_type
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

source "amazon-ebs" "debian" {
  region        = var.region
  ami_name      = local.ami_name
  instance_type = local.instance_type
  ssh_username  = "admin"
  imds_support  = "v2.0"

  source_ami_filter {
    # Debian's own account.
    owners      = ["136693071363"]
    most_recent = true

    filters = {
      name                = "debian-12-${var.architecture == "arm64" ? "arm64" : "amd64"}-*"
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
  sources = ["source.amazon-ebs.al2023", "source.amazon-ebs.debian"]

  provisioner "file" {
    source      = var.package
    destination = local.uploaded
  }

  provisioner "shell" {
    only   = ["amazon-ebs.al2023"]
    inline = ["sudo dnf install --assumeyes ${local.uploaded}"]
  }

  provisioner "shell" {
    only   = ["amazon-ebs.debian"]
    inline = ["sudo apt-get install --yes ${local.uploaded}"]
  }

  provisioner "shell" {
    inline = [
      "rm ${local.uploaded}",
      # Fail the build if the image would not heal.
      "systemctl is-enabled eip-heal.service",
      "! systemctl is-active --quiet eip-heal.service",
      "eip-heal check-config",
    ]
  }
}
