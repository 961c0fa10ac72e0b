variable "name" {
  description = "Name of the service: of the group, of its instances and of what belongs to them."
  type        = string
}

variable "vpc_id" {
  description = "The VPC of the service."
  type        = string
}

variable "subnet_ids" {
  description = "Public subnets of that VPC, best in several zones; the address follows the instance into each."
  type        = list(string)
}

variable "image_id" {
  description = "An AMI with eip-heal in it (see packer/ beside this folder)."
  type        = string
}

variable "instance_type" {
  description = "An instance type of the architecture of the AMI."
  type        = string
  default     = "t4g.nano"
}

variable "allocation_id" {
  description = "An Elastic IP that exists; null for a new one, which is released when the module is destroyed."
  type        = string
  default     = null

  validation {
    condition     = var.allocation_id == null || can(regex("^eipalloc-[0-9a-f]{8,32}$", var.allocation_id))
    error_message = "An allocation id looks like eipalloc-0123456789abcdef0."
  }
}
