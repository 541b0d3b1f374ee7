# Sourced by tests/run and bench/demo.

# apt_install <package>...: installs the Debian packages that are missing, says which, and fails
# with a sentence when that cannot be done. Does nothing, and needs no apt, when all are there.
apt_install() {
  local package missing=()
  for package in "$@"; do
    if [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) != installed ]]; then
      missing+=("$package")
    fi
  done
  if ((${#missing[@]} == 0)); then
    return 0
  fi
  echo "Installing Debian packages that are missing: ${missing[*]}"
  local as_root=()
  if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
      echo "Not root and no sudo here; please install them first." >&2
      return 1
    fi
    as_root=(sudo)
  fi
  local log
  log=$(mktemp)
  if ! {
    ${as_root[@]+"${as_root[@]}"} apt-get update &&
      ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -y --no-install-recommends "${missing[@]}"
  } >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    echo "apt-get could not install them." >&2
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
}
