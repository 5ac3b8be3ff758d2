"""`python -m avatar_sdk.cli` is `avatar`."""

from avatar_sdk.cli import main

main()
