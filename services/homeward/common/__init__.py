"""What the services answer alike, as `protos/homeward/api/common` has it."""
