"""Generated from protos/avatar/v1/avatar.proto; do not edit."""
