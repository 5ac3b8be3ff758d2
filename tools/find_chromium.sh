#!/usr/bin/env bash
# Makes sure there is a Chromium for the browser tests: uses one that is there, installs Debian's where it may, and
# says loudly when there is none. Always succeeds: the tests themselves skip with the reason.
set -euo pipefail
for name in ${AVATAR_CHROMIUM:-chromium chromium-browser google-chrome google-chrome-stable}; do
    if command -v "$name" >/dev/null 2>&1; then
        exit 0
    fi
done
if [ "$(id -u)" = 0 ] && [ -f /etc/debian_version ] && command -v apt-get >/dev/null 2>&1; then
    echo "── installing Chromium for the browser tests (apt-get install chromium)"
    export DEBIAN_FRONTEND=noninteractive
    if { apt-get update && apt-get install -y --no-install-recommends chromium; } >/tmp/avatar-chromium.log 2>&1; then
        exit 0
    fi
    tail -n 3 /tmp/avatar-chromium.log
fi
echo "── THE PAGE IS NOT TESTED IN A BROWSER: there is no Chromium; install it (on Debian: apt install chromium)"
