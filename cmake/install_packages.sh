# Sourced by ./demo and ./test: installs what Debian 12 lacks, once. Says what it does; one line when it cannot.
#
#   need_packages NAME...   returns 0 when all are installed afterwards

missing_packages() {
  for name in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || printf '%s ' "$name"
  done
}

# why_not LOG: the cause in apt's output, with what to do.
why_not() {
  if grep -qE 'Temporary failure resolving|Could not (connect|resolve)|Network is unreachable|Connection (refused|timed out)' "$1"; then
    echo "the package archive cannot be reached: connect this machine to a network, or install them from a mirror"
  elif missing_name=$(grep -m1 -oE 'Unable to locate package [^ ]+' "$1"); then
    echo "$missing_name: this needs Debian 12 with its main archive in /etc/apt/sources.list"
  else
    echo "$(grep -m1 '^E:' "$1" || tail -n 1 "$1"): mend that"
  fi
}

need_packages() {
  missing=$(missing_packages "$@")
  [ -z "$missing" ] && return 0
  as_root=
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "setup: needs root or sudo to install: $missing" >&2; return 1; }
    as_root=sudo
  fi
  echo "setup: installing $missing"
  log=$(mktemp)
  # shellcheck disable=SC2086  # a list of words
  if ! { $as_root apt-get update && DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
    echo "setup: cannot install $(missing_packages "$@")- $(why_not "$log"); then run this again" >&2
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
}

SMELT_PACKAGES="cmake ninja-build g++ llvm-19-dev libfmt-dev doctest-dev libeigen3-dev libcli11-dev
  nlohmann-json3-dev libpng-dev libjpeg62-turbo-dev libsndfile1-dev libsentencepiece-dev libzip-dev zlib1g-dev dataset-fashion-mnist ccache mold clang-format-19"

# build_release: configures once, builds what changed.
build_release() {
  [ -f build/release/build.ninja ] || cmake --preset release >build-configure.log 2>&1 || { cat build-configure.log >&2; return 1; }
  rm -f build-configure.log
  cmake --build --preset release "$@"
}
