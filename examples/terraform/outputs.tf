output "allocation_id" {
  description = "The allocation id of the address of the service."
  value       = local.allocation_id
}

output "public_ip" {
  description = "The address of the service, if this module has allocated it."
  value       = one(aws_eip.this[*].public_ip)
}

output "autoscaling_group_name" {
  description = "The name of the group."
  value       = aws_autoscaling_group.this.name
}

output "role_name" {
  description = "The name of the role of the instances, for what else the service needs."
  value       = aws_iam_role.this.name
}
